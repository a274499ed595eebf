"""What has broken SIP servers, tried over real UDP: the rows P and S of the checklist of attacks."""
