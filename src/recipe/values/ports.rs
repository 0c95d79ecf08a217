//! The short form of a published port.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// One port as the routing mesh publishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub target: u16,
    /// 0: the Swarm picks one.
    pub published: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
    /// The address that was asked for. A Swarm ignores it and listens on all: worth a warning, unless it is 0.0.0.0.
    pub host_ip: Option<IpAddr>,
}

/// The ports of `[[host IP:][published]:]target[/protocol]`, ranges expanded, in the order in which the Docker CLI
/// sends them (by target, compared as text). One target takes a range of published ports too.
pub fn ports(text: &str) -> Result<Vec<Port>, String> {
    let (host_ip, published_text, target_text) = split(text);
    let (target_text, protocol) = split_protocol(target_text);
    let host_ip = host_ip.filter(|text| *text != "[]").map(address).transpose()?;
    if target_text.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let targets = range(target_text).ok_or_else(|| format!("invalid containerPort: {target_text}"))?;
    let published = match published_text {
        "" => None,
        other => Some(range(other).ok_or_else(|| format!("invalid hostPort: {other}"))?),
    };
    let protocol = protocol_named(protocol)?;
    let pairs = paired(targets, published).ok_or_else(|| {
        format!("invalid ranges specified for container and host Ports: {target_text} and {published_text}")
    })?;
    let port = |(target, published)| Port { target, published, protocol, host_ip };
    let mut ports: Vec<Port> = pairs.into_iter().map(port).collect();
    ports.sort_by_cached_key(|port| port.target.to_string());
    Ok(ports)
}

/// Host IP, published ports and the rest. An IPv6 address may stand without brackets.
fn split(text: &str) -> (Option<&str>, &str, &str) {
    let Some((before, target)) = text.rsplit_once(':') else { return (None, "", text) };
    match before.rsplit_once(':') {
        Some((address, published)) => (Some(address).filter(|address| !address.is_empty()), published, target),
        None => (None, before, target),
    }
}

fn split_protocol(text: &str) -> (&str, &str) {
    let mut parts = text.split('/');
    let target = parts.next().unwrap_or_default();
    (target, parts.next().filter(|protocol| !protocol.is_empty()).unwrap_or("tcp"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("invalid IP address: {text}"))
}

fn protocol_named(name: &str) -> Result<&'static str, String> {
    let known = ["tcp", "udp", "sctp"].into_iter().find(|known| known.eq_ignore_ascii_case(name));
    known.ok_or_else(|| format!("invalid proto: {name}"))
}

/// `80` or `80-82`; Docker ignores what stands behind a second dash.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut parts = text.split('-').map(number);
    let start = parts.next()??;
    let end = parts.next().unwrap_or(Some(start))?;
    (start <= end).then_some(start..=end)
}

fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn paired(targets: RangeInclusive<u16>, published: Option<RangeInclusive<u16>>) -> Option<Vec<(u16, u16)>> {
    let Some(published) = published else { return Some(targets.map(|target| (target, 0)).collect()) };
    if targets.len() == published.len() {
        return Some(targets.zip(published).collect());
    }
    let only = *targets.start();
    (targets.len() == 1).then(|| published.map(|one| (only, one)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let show = |port: &Port| format!("{}:{}/{}", port.published, port.target, port.protocol);
        Ok(ports(text)?.iter().map(show).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_short_form_is_read_as_the_cli_sends_it() {
        let table = [
            ("80", "0:80/tcp"),
            (":80", "0:80/tcp"),
            ("80/", "0:80/tcp"),
            ("80/tcp/udp", "0:80/tcp"),
            ("8080:80/UDP", "8080:80/udp"),
            ("80-82", "0:80/tcp 0:81/tcp 0:82/tcp"),
            ("1-2-3", "0:1/tcp 0:2/tcp"),
            ("9-11:9-11", "10:10/tcp 11:11/tcp 9:9/tcp"),
            ("8080-8082:80", "8080:80/tcp 8081:80/tcp 8082:80/tcp"),
            ("127.0.0.1:80:80", "80:80/tcp"),
            ("[::1]:80:80/sctp", "80:80/sctp"),
            ("::1:80:80", "80:80/tcp"),
            ("127.0.0.1::80", "0:80/tcp"),
            ("[]:80:80", "80:80/tcp"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_address_that_a_swarm_ignores_is_kept_for_a_warning() {
        assert_eq!(ports("[::1]:80:80").unwrap()[0].host_ip, Some("::1".parse().unwrap()));
        assert_eq!(ports("80:80").unwrap()[0].host_ip, None);
    }

    #[test]
    fn other_notations_are_refused() {
        let table = [
            ("", "no port specified: <empty>"),
            ("/tcp", "no port specified: /tcp<empty>"),
            ("80/foo", "invalid proto: foo"),
            ("x:80", "invalid hostPort: x"),
            ("70000", "invalid containerPort: 70000"),
            ("+80", "invalid containerPort: +80"),
            ("5-3", "invalid containerPort: 5-3"),
            ("80-", "invalid containerPort: 80-"),
            ("80-81:90-92", "invalid ranges specified for container and host Ports: 90-92 and 80-81"),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("[::1:80:80", "invalid IP address: [::1"),
            ("[fe80::1%eth0]:80:80", "invalid IP address: [fe80::1%eth0]"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), Err(expected.to_owned()), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn no_text_makes_it_panic(text in "[0-9:/\\-.\\[\\]tcp]{0,20}|\\PC{0,10}") {
            let _ = ports(&text);
        }
    }
}
