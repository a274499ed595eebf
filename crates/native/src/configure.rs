//! Settings by name, as `Core.configure` takes them.

use bytes::Bytes;
use pyo3::prelude::*;
use sipyard_endpoint::{Alias, Origins, Setting, StreamSetting};
use sipyard_transaction::{Generation, BLACKLIST_ENTRY};

use crate::address::protocol_of;
use crate::core_object::unknown_setting;
use crate::error::value_error;
use crate::text::Text;
use crate::time::micros;

fn time(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    match micros(value.extract()?)? {
        0 => Err(value_error("a timer must be longer than nothing")),
        time => Ok(time),
    }
}

fn header_value(value: &Bound<'_, PyAny>) -> PyResult<Option<Bytes>> {
    let value: Text<'_> = value.extract()?;
    if !sipyard_endpoint::is_one_line(value.bytes()) {
        return Err(value_error("a line break in a header's value"));
    }
    Ok((!value.bytes().is_empty()).then(|| value.to_bytes()))
}

fn generation(value: &Bound<'_, PyAny>) -> PyResult<Generation> {
    match value.extract::<&str>()? {
        "0.9" => Ok(Generation::Ser09),
        "2.0" => Ok(Generation::Ser20),
        other => Err(value_error(format!("no such order of responses: {other}"))),
    }
}

fn aliases(value: &Bound<'_, PyAny>) -> PyResult<Vec<Alias>> {
    let rows: Vec<(String, u16, Option<String>)> = value.extract()?;
    let alias = |(host, port, protocol): (String, u16, Option<String>)| {
        Ok(Alias { host, port, protocol: protocol.as_deref().map(protocol_of).transpose()? })
    };
    rows.into_iter().map(alias).collect()
}

fn origins(value: &Bound<'_, PyAny>) -> PyResult<Origins> {
    let names: Vec<String> = value.extract()?;
    Ok(names.into_iter().map(String::into_boxed_str).collect())
}

/// The setting of a name; nothing for one that needs no action; TypeError for an unknown name.
pub fn setting_of(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<Setting>> {
    Ok(Some(match name {
        "t1" => Setting::T1(time(value)?),
        "t2" => Setting::T2(time(value)?),
        "t4" => Setting::T4(time(value)?),
        "fr_timer" => Setting::Fr(time(value)?),
        "fr_inv_timer" => Setting::FrInv(time(value)?),
        "wait_timer" => Setting::Wait(time(value)?),
        "restart_fr_on_each_reply" => Setting::RestartFr(value.extract()?),
        "hold_finals" => Setting::HoldFinals(value.extract()?),
        "aggregate_challenges" => Setting::AggregateChallenges(value.extract()?),
        "best_response" => Setting::BestResponse(generation(value)?),
        "server_header" => Setting::Server(header_value(value)?),
        "user_agent_header" => Setting::UserAgent(header_value(value)?),
        "reply_warning" => Setting::Warning(value.extract()?),
        "reply_to_via" => Setting::ReplyToVia(value.extract()?),
        "ruri_matching" => Setting::RuriMatching(value.extract()?),
        "via1_matching" => Setting::Via1Matching(value.extract()?),
        "check_via" => Setting::CheckVia(value.extract()?),
        // A stateless branch is always the same for the same request, so there is nothing to switch.
        "syn_branch" => return value.extract::<bool>().map(|_| None),
        "blacklist" => Setting::Blacklist(value.extract()?),
        "blacklist_expire" => Setting::BlacklistExpire(time(value)?),
        "blacklist_memory" => Setting::BlacklistLimit(value.extract::<usize>()? / BLACKLIST_ENTRY),
        "blacklist_methods_add" => Setting::BlacklistMethodsAdd(value.extract()?),
        "blacklist_methods_lookup" => Setting::BlacklistMethodsLookup(value.extract()?),
        "udp_mtu" => Setting::UdpMtu(value.extract()?),
        "dns_failover" => Setting::Failover(value.extract()?),
        "double_record_route" => Setting::DoubleRecordRoute(value.extract()?),
        "loop_detection" => Setting::LoopDetection(value.extract()?),
        "aliases" => Setting::Aliases(aliases(value)?),
        "stun" => Setting::Stun(value.extract()?),
        "onreply" => Setting::OnReply(value.extract()?),
        "answer_malformed" => Setting::AnswerMalformed(value.extract()?),
        "malformed_rate_source" => Setting::MalformedRateSource(value.extract()?),
        "malformed_rate_total" => Setting::MalformedRateTotal(value.extract()?),
        "max_branches" => Setting::MaxBranches(value.extract()?),
        "max_transactions" => Setting::MaxTransactions(value.extract()?),
        "queue_limit" => Setting::QueueLimit(value.extract()?),
        "tcp_max_connections" => Setting::Streams(StreamSetting::Most(value.extract()?)),
        "tcp_max_of_one" => Setting::Streams(StreamSetting::MostOfOne(value.extract()?)),
        "tcp_max_strangers_of_one" => Setting::Streams(StreamSetting::MostStrangersOfOne(value.extract()?)),
        "tcp_queue" => Setting::Streams(StreamSetting::Queue(value.extract()?)),
        "tcp_connect_timeout" => Setting::Streams(StreamSetting::Connect(time(value)?)),
        "tcp_send_timeout" => Setting::Streams(StreamSetting::Send(time(value)?)),
        "tcp_connection_lifetime" => Setting::Streams(StreamSetting::Idle(time(value)?)),
        "tcp_first_message" => Setting::Streams(StreamSetting::FirstMessage(time(value)?)),
        "tcp_message_time" => Setting::Streams(StreamSetting::Message(time(value)?)),
        "tcp_accept_aliases" => Setting::Streams(StreamSetting::AcceptAliases(value.extract()?)),
        "http" => Setting::Streams(StreamSetting::Http(value.extract()?)),
        "ws_origins" => Setting::Streams(StreamSetting::Origins(origins(value)?)),
        "retry_after" => Setting::RetryAfter(value.extract()?),
        other => return Err(unknown_setting(other)),
    }))
}
