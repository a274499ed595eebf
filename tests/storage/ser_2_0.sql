-- As SER 2.0's own scripts make them: unique keys, no primary ones, none of our columns.
CREATE TABLE version (table_name VARCHAR(64) NOT NULL, table_version INT DEFAULT 0 NOT NULL, UNIQUE (table_name));
CREATE TABLE domain (did VARCHAR(64) NOT NULL, domain VARCHAR(128) NOT NULL, flags INT DEFAULT 0 NOT NULL, UNIQUE (domain));
CREATE TABLE domain_attrs (did VARCHAR(64), name VARCHAR(32) NOT NULL, type INT DEFAULT 0 NOT NULL, value VARCHAR(255), flags INT DEFAULT 0 NOT NULL, UNIQUE (did, name, value));
CREATE TABLE credentials (auth_username VARCHAR(64) NOT NULL, did VARCHAR(64) DEFAULT '_default' NOT NULL, realm VARCHAR(64) NOT NULL, password VARCHAR(28) DEFAULT '' NOT NULL, flags INT DEFAULT 0 NOT NULL, ha1 VARCHAR(32) DEFAULT '' NOT NULL, ha1b VARCHAR(32) DEFAULT '' NOT NULL, uid VARCHAR(64) NOT NULL);
CREATE TABLE uri (uid VARCHAR(64) NOT NULL, did VARCHAR(64) NOT NULL, username VARCHAR(64) NOT NULL, flags INT DEFAULT 0 NOT NULL, scheme VARCHAR(8) DEFAULT 'sip' NOT NULL);
CREATE TABLE user_attrs (uid VARCHAR(64) NOT NULL, name VARCHAR(32) NOT NULL, value VARCHAR(255), type INT DEFAULT 0 NOT NULL, flags INT DEFAULT 0 NOT NULL, UNIQUE (uid, name, value));
CREATE TABLE uri_attrs (username VARCHAR(64) NOT NULL, did VARCHAR(64) NOT NULL, name VARCHAR(32) NOT NULL, value VARCHAR(255), type INT DEFAULT 0 NOT NULL, flags INT DEFAULT 0 NOT NULL, scheme VARCHAR(8) DEFAULT 'sip' NOT NULL, UNIQUE (username, did, name, value, scheme));
CREATE TABLE location (uid VARCHAR(64) NOT NULL, aor VARCHAR(255) NOT NULL, contact VARCHAR(255) NOT NULL, received VARCHAR(255), expires TIMESTAMP DEFAULT '1970-01-02 00:00:00' NOT NULL, q FLOAT DEFAULT 1.0 NOT NULL, callid VARCHAR(255), cseq INT, flags INT DEFAULT 0 NOT NULL, user_agent VARCHAR(64), instance VARCHAR(255), UNIQUE (uid, contact));
INSERT INTO version VALUES ('domain', 2), ('domain_attrs', 1), ('credentials', 7), ('uri', 3), ('user_attrs', 3), ('uri_attrs', 2), ('location', 9);
INSERT INTO domain VALUES ('d1', 'example.com', 1);
INSERT INTO credentials VALUES ('alice', 'd1', 'example.com', 'heslo', 1, 'x', 'y', 'u1');
INSERT INTO uri VALUES ('u1', 'd1', 'alice', 29, 'sip');
INSERT INTO location VALUES ('u1', 'sip:alice@example.com', 'sip:alice@192.0.2.1', NULL, '2037-01-01 00:00:00', 0.5, 'c', 7, 0, 'Phone', NULL)
