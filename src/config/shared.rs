//! What all apps share: network, alerts, pruning, certificate files, and the Engine's address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use super::table::{Keys, Value};

const NETWORK_KEYS: Keys = &["name", "subnet"];
const CERTIFICATE_KEYS: Keys = &["chain", "key"];
const ALERTS_KEYS: Keys = &["webhook", "format", "command"];
const PRUNE_KEYS: Keys = &["watermark"];

/// The overlay that every recipe expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedNetwork {
    pub name: String,
    pub subnet: Subnet,
}

impl Default for SharedNetwork {
    fn default() -> Self {
        let subnet = Subnet { address: IpAddr::V4(Ipv4Addr::new(10, 200, 0, 0)), prefix: 16 };
        Self { name: "proxy".to_owned(), subnet }
    }
}

/// An address range such as `10.200.0.0/16`; bits behind the prefix are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    pub address: IpAddr,
    pub prefix: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    #[error("{0:?} is not a subnet")]
    Form(String),
    #[error("{0:?} has bits set behind its prefix")]
    HostBits(String),
    #[error("{0:?} has no room for a network")]
    Small(String),
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let form = || SubnetError::Form(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(form)?;
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u8 = prefix.parse().ok().filter(|_| digits).ok_or_else(form)?;
        let (bits, width) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        if prefix == 0 || prefix > width {
            return Err(form());
        }
        if bits << prefix.min(127) != 0 && prefix < 128 {
            return Err(SubnetError::HostBits(text.to_owned()));
        }
        if prefix > width - 3 {
            return Err(SubnetError::Small(text.to_owned()));
        }
        Ok(Self { address, prefix })
    }
}

impl Subnet {
    /// A /24 or less: leaked addresses exhaust it in days.
    fn is_small(self) -> bool {
        self.address.is_ipv4() && self.prefix >= 24
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub chain: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alerts {
    pub webhook: Option<Webhook>,
    /// How the webhook is written to.
    pub format: WebhookFormat,
    /// Program and arguments; the program by absolute path.
    pub command: Option<Vec<String>>,
}

/// In which form an alert is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// The alert's file as it is.
    #[default]
    Json,
    /// A message for a topic of an ntfy server.
    Ntfy,
}

/// Where alerts are posted. Some services put a secret into the address: then it belongs into a file.
#[derive(Clone, PartialEq, Eq)]
pub enum Webhook {
    Url(String),
    File(PathBuf),
}

/// Shows no address: it may hold a secret all the same.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Webhook::Url(_) => f.write_str("Url([hidden])"),
            Webhook::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// Per cent of disk or inodes in use from which a person is told.
    pub watermark: u8,
}

impl Default for Prune {
    fn default() -> Self {
        Self { watermark: 85 }
    }
}

pub(super) fn network(value: &Value<'_>) -> Option<SharedNetwork> {
    let table = value.table(NETWORK_KEYS)?;
    let default = SharedNetwork::default();
    let name = table.get("name").and_then(|v| network_name(&v)).unwrap_or(default.name);
    let subnet = table.get("subnet").and_then(|v| {
        let subnet: Subnet = v.parsed("such as \"10.200.0.0/16\"")?;
        if subnet.is_small() {
            v.warning(format!("{subnet} is small: leaked addresses exhaust it in days"), "use a /16");
        }
        Some(subnet)
    });
    Some(SharedNetwork { name, subnet: subnet.unwrap_or(default.subnet) })
}

fn network_name(value: &Value<'_>) -> Option<String> {
    let name = value.string()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(legal) {
        return Some(name.to_owned());
    }
    value.error(format!("{name:?} is no name of a network"), "letters, digits, _ - and ., a letter or digit first");
    None
}

pub(super) fn certificate(value: &Value<'_>) -> Option<CertificateFiles> {
    let table = value.table(CERTIFICATE_KEYS)?;
    let chain = table.require("chain", "a PEM file: the leaf, then its issuers").and_then(|v| v.path());
    let key = table.require("key", "a PEM file with the leaf's private key").and_then(|v| v.secret_path());
    Some(CertificateFiles { chain: chain?, key: key? })
}

pub(super) fn alerts(value: &Value<'_>) -> Option<Alerts> {
    let table = value.table(ALERTS_KEYS)?;
    let formats = [("json", WebhookFormat::Json), ("ntfy", WebhookFormat::Ntfy)];
    if let (Some(format), None) = (table.get("format"), table.get("webhook")) {
        format.error("says how a webhook is written to, and there is none", "add `webhook`, or leave `format` out");
    }
    Some(Alerts {
        webhook: table.get("webhook").and_then(|v| webhook(&v)),
        format: table.get("format").and_then(|v| v.choice(&formats)).unwrap_or_default(),
        command: table.get("command").and_then(|v| command(&v)),
    })
}

fn webhook(value: &Value<'_>) -> Option<Webhook> {
    let text = value.text()?;
    if text.starts_with("https://") || text.starts_with("http://") {
        return Some(Webhook::Url(text));
    }
    if text.starts_with('/') {
        return value.secret_path().map(Webhook::File);
    }
    value.error("is neither a web address nor a file", "an https:// address, or a file that holds it");
    None
}

fn command(value: &Value<'_>) -> Option<Vec<String>> {
    let words = value.texts()?;
    if words.first().is_some_and(|program| program.starts_with('/')) {
        return Some(words);
    }
    value.error("does not begin with a program's absolute path", "such as [\"/run/current-system/sw/bin/mail-alert\"]");
    None
}

pub(super) fn prune(value: &Value<'_>) -> Option<Prune> {
    let table = value.table(PRUNE_KEYS)?;
    let watermark = table.get("watermark").and_then(|v| v.integer(1..=99)).and_then(|n| u8::try_from(n).ok());
    Some(watermark.map_or_else(Prune::default, |watermark| Prune { watermark }))
}

/// `unix:///…`: the Engine is asked on this machine alone.
pub(super) fn engine(value: &Value<'_>) -> Option<String> {
    let address = value.string()?;
    if address.starts_with("unix:///") {
        return Some(address.to_owned());
    }
    value.error(format!("{address:?} is not the address of a local Engine"), "such as \"unix:///run/docker.sock\"");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_ranges_with_room() {
        for text in ["10.200.0.0/16", "192.168.4.0/22", "10.0.0.8/29", "fd00:1::/64"] {
            assert_eq!(text.parse::<Subnet>().unwrap().to_string(), text);
        }
        for text in
            ["10.200.0.0", "10.200.0/16", "10.200.0.0/33", "10.0.0.0/0", "10.0.0.0/+8", "a/8", "/8", "10.0.0.0/"]
        {
            assert_eq!(text.parse::<Subnet>(), Err(SubnetError::Form(text.to_owned())), "{text}");
        }
        assert_eq!("10.200.0.1/16".parse::<Subnet>(), Err(SubnetError::HostBits("10.200.0.1/16".to_owned())));
        assert_eq!("10.200.0.4/30".parse::<Subnet>(), Err(SubnetError::Small("10.200.0.4/30".to_owned())));
        assert_eq!("10.200.0.1/32".parse::<Subnet>(), Err(SubnetError::Small("10.200.0.1/32".to_owned())));
    }
}
