//! Posting an alert to a web address: as JSON, or as a message in ntfy's form.
//!
//! The surprise: the whole address may be a secret (a topic, a token, a login). Of it only scheme, host and port are ever
//! told, and nothing of what the server answers, which may repeat the rest.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use anyhow::{Context, Result, bail, ensure};

use crate::config::{Webhook, WebhookFormat};
use crate::model::alert::{Message, Reason};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Between the first two tries; twice as long before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const TRIES_MORE: usize = 3;
/// A web address is one short line.
const LONGEST_ADDRESS: usize = 4096;
/// ntfy makes an attachment of a longer message.
const LONGEST_MESSAGE: usize = 4000;

/// A web address to post to. Without `Debug`: it may hold a secret.
pub struct Post {
    client: Client,
    url: Url,
    format: WebhookFormat,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    #[error("{place} answers {status}{}", hint(.status))]
    Answered { place: String, status: StatusCode },
    #[error("{place} gives no answer: {why}")]
    Silent { place: String, why: String },
}

fn hint(status: &StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "; a redirect is not followed: name the address that it leads to",
        401 | 403 => "; is the address with its login or token still right?",
        404 | 405 => "; is it the right address?",
        413 => "; the alert is too long for it",
        _ => "",
    }
}

impl PostError {
    /// Whether a moment later it may be another one.
    fn may_pass(&self) -> bool {
        match self {
            PostError::Silent { .. } => true,
            PostError::Answered { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
        }
    }
}

impl Post {
    /// # Errors
    /// When the file that holds the address cannot be read, or holds none.
    pub fn to(webhook: &Webhook, format: WebhookFormat) -> Result<Self> {
        let url = match webhook {
            Webhook::Url(url) => address(url).context("alerts.webhook")?,
            Webhook::File(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("read the web address for alerts in {}", path.display()))?;
                address(text.trim()).with_context(|| path.display().to_string())?
            }
        };
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("make ready to post alerts: is there a store of certificates on this machine?")?;
        Ok(Self { client, url, format })
    }

    /// Posts one alert, up to four times where it may help.
    pub async fn send(&self, message: &Message, bytes: &[u8]) -> Result<(), PostError> {
        let tries =
            ExponentialBuilder::default().with_min_delay(FIRST_WAIT).with_factor(2.0).with_max_times(TRIES_MORE);
        (|| self.once(message, bytes)).retry(tries).when(PostError::may_pass).await
    }

    async fn once(&self, message: &Message, bytes: &[u8]) -> Result<(), PostError> {
        let request = self.client.post(self.url.clone());
        let request = match self.format {
            WebhookFormat::Json => request.header("content-type", "application/json").body(bytes.to_owned()),
            WebhookFormat::Ntfy => request
                .header("title", ascii(&message.headline()))
                .header("priority", priority(message.reason))
                .header("tags", format!("{},{},{}", tag(message.reason), message.reason.word(), ascii(&message.app)))
                .header("content-type", "text/plain; charset=utf-8")
                .body(words(message)),
        };
        let answer = request.send().await.map_err(|error| self.silent(error))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(PostError::Answered { place: self.place(), status }),
        }
    }

    fn silent(&self, error: reqwest::Error) -> PostError {
        let why = match error.is_timeout() {
            true => "it took too long".to_owned(),
            false => format!("{:#}", anyhow::Error::from(error.without_url())),
        };
        PostError::Silent { place: self.place(), why }
    }

    /// As much of the address as may be told.
    pub fn place(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", self.url.scheme(), self.url.host_str().unwrap_or_default())
    }
}

/// Says nothing of a text that is no address: it may be another secret.
fn address(text: &str) -> Result<Url> {
    ensure!(text.len() <= LONGEST_ADDRESS && text.lines().count() == 1, "there has to be one line with a web address");
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => bail!("there is no web address such as https://ntfy.example.org/topic"),
    }
}

/// ntfy's words for how loud: 1 to 5.
fn priority(reason: Reason) -> &'static str {
    match reason {
        Reason::Stuck => "urgent",
        Reason::Undecided | Reason::Unhealthy | Reason::Error | Reason::Rollback | Reason::Blocked => "high",
        Reason::Silent | Reason::UnitFailed | Reason::DiskLow => "high",
        Reason::HeldMajor | Reason::HeldManualMigration | Reason::HeldPolicy => "default",
        Reason::ReleaseNotes => "low",
    }
}

/// Which ntfy shows as a sign.
fn tag(reason: Reason) -> &'static str {
    match reason {
        Reason::Stuck => "rotating_light",
        Reason::Undecided | Reason::Unhealthy | Reason::Error | Reason::Rollback | Reason::Blocked => "warning",
        Reason::Silent | Reason::UnitFailed | Reason::DiskLow => "warning",
        Reason::HeldMajor | Reason::HeldManualMigration | Reason::HeldPolicy => "hand",
        Reason::ReleaseNotes => "memo",
    }
}

/// What a header may hold.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

fn words(message: &Message) -> String {
    let text = format!("{}\n\nWhat to do: {}", message.evidence, message.next_step);
    if text.len() <= LONGEST_MESSAGE {
        return text;
    }
    // The way on is worth more than the end of the evidence.
    let rest = format!("…\n\nWhat to do: {}", message.next_step);
    let room = LONGEST_MESSAGE.saturating_sub(rest.len());
    let end = (0..=room.min(message.evidence.len())).rev().find(|end| message.evidence.is_char_boundary(*end));
    format!("{}{rest}", &message.evidence[..end.unwrap_or(0)])
}
