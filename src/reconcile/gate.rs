//! Waiting for the verdict: Swarm's own, then the app's gate through the proxy.
//!
//! A `No` is the app's; an `Err` says that nothing can be said (the proxy is down, the Engine gone), and nobody is
//! blamed for it.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::masking::Masking;
use super::{Applied, Keeper, last_words};
use crate::certificate;
use crate::desired::Desired;
use crate::health::gate::served;
use crate::health::{self, Rules, Seen, Verdict, Watch};
use crate::host::probe::{self, Check, Failure, Target, Timeouts, Whose};
use crate::model::app::StackName;
use crate::model::observed::{Container, Observed};
use crate::model::outcome::Outcome;

/// Non-zero exits of one service that make a crash loop.
const EXITS: u32 = 3;
/// The longest pause between two looks: pending and rejected tasks send no event.
const TICK: Duration = Duration::from_millis(250);
/// The proxy looks at the Swarm this often: within it, what is asked may still be what ran before.
const PROXY_LOOKS_EVERY: Duration = Duration::from_secs(15);

/// How an app is judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    pub within: Duration,
    pub stable_for: Duration,
    pub successes: u32,
    /// Who is asked.
    pub target: Target,
    /// What; nothing: Swarm's verdict is enough.
    pub checks: Vec<Check>,
    /// The proxy's stack, when the app is reached through one that is kept here.
    pub proxy: Option<StackName>,
}

impl Gate {
    /// As a transaction keeps it. Logins stay in their files.
    pub fn kept(&self) -> Value {
        serde_json::to_value(self).expect("a gate is texts and numbers")
    }

    /// A gate out of a transaction.
    ///
    /// # Errors
    /// When it has a field or a word that this version does not know: a newer one wrote it.
    pub fn of_kept(kept: &Value) -> anyhow::Result<Self> {
        serde_json::from_value(kept.clone()).context("read the gate that was kept with the open transaction")
    }

    /// With the certificate that is served by now, leaf first, in the place of the one at the beginning: it belongs to the
    /// host, and is rotated whatever an app is doing. Nothing is known of it: as it was.
    #[must_use]
    pub fn with_certificate(mut self, chain: Vec<Vec<u8>>) -> Self {
        if let Some(wanted) = self.target.certificate.as_mut().filter(|_| !chain.is_empty()) {
            wanted.chain = chain;
        }
        self
    }

    /// Swarm's verdict alone.
    #[must_use]
    pub fn without_questions(self) -> Self {
        Self { checks: Vec::new(), ..self }
    }

    /// What is worth telling of a gate before anybody is asked: a verdict that may come before the proxy has seen
    /// anything, and a certificate in its last days.
    pub fn doubts(&self, now: Timestamp) -> Vec<String> {
        let is_routed = self.checks.iter().any(|check| matches!(check, Check::Page(_)));
        let looks = PROXY_LOOKS_EVERY;
        let second = Duration::from_secs(1);
        let doubts = [
            doubt("within", self.within, looks, "a good app may be found too late"),
            doubt("stable_for", self.stable_for, looks + second, "a bad app may pass while the one before it answers"),
        ];
        let of_time = doubts.into_iter().flatten().filter(|_| is_routed);
        let wanted = self.target.certificate.iter();
        let of_certificate = wanted.filter_map(|wanted| {
            let certificate = certificate::describe_chain(&wanted.chain)?;
            served::remark(&certificate, wanted.warn_days, now)
        });
        of_time.chain(of_certificate).collect()
    }
}

fn doubt(key: &str, found: Duration, least: Duration, then: &str) -> Option<String> {
    (found < least).then(|| {
        format!(
            "gate.{key} is {found:?}, and the proxy looks at the Swarm every {PROXY_LOOKS_EVERY:?}: {then}; give it {least:?} \
             or more"
        )
    })
}

/// The answer of verdict and gate. Without one (`Err`) nothing is known about the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    Healthy,
    Unhealthy(String),
}

impl Keeper<'_> {
    /// Waits until the stack is healthy and its gate says yes, or one of them says no, or `within` has passed.
    ///
    /// # Errors
    /// When nothing can be said: the Engine is gone, the proxy does not answer, or somebody else works on the stack.
    pub async fn judge(&self, desired: &Desired, applied: &Applied, gate: &Gate) -> Result<Judged, Outcome> {
        let began = Instant::now();
        let mut watch = Watch::new(desired, rules(applied, gate));
        let mut answers = Answers::default();
        let mut changes = self.swarm.changes().await?;
        loop {
            let asked = began.elapsed();
            let observed = self.swarm.observe_progress(&desired.stack).await?;
            let seen = Seen { asked, answered: began.elapsed() };
            let waiting_for = match watch.look(&observed, seen) {
                Verdict::Unhealthy(reason) => {
                    return Ok(Judged::Unhealthy(self.with_log(reason, desired, &observed).await));
                }
                Verdict::Waiting(what) => what,
                Verdict::Healthy => {
                    match in_a_row(gate, &mut answers, gate.within.saturating_sub(began.elapsed())).await {
                        Ok(()) => return Ok(Judged::Healthy),
                        Err(reason) => reason,
                    }
                }
            };
            if let Some(how) = watch.meddled(seen) {
                return Err(meddled_with(how));
            }
            if answers.lasting || began.elapsed() >= gate.within {
                return self.too_late(gate, &answers, waiting_for, desired, &observed).await;
            }
            debug!(waiting_for, "not yet");
            self.progress.waiting_for(&waiting_for);
            let due = watch.due(began.elapsed()).unwrap_or(TICK);
            changes.wait(due.min(TICK)).await;
        }
    }

    /// The verdict of a run that wrote nothing: Swarm's own now, and one question to the app.
    pub async fn glance(&self, desired: &Desired, observed: &Observed, gate: &Gate) -> Result<Judged, Outcome> {
        if let Verdict::Unhealthy(reason) = health::at_a_glance(desired, observed, Timestamp::now()) {
            return Ok(Judged::Unhealthy(self.with_log(reason, desired, observed).await));
        }
        if self.is_healthy_now(desired, observed, gate).await {
            return Ok(Judged::Healthy);
        }
        self.judge(desired, &Applied::default(), gate).await
    }

    /// Whether a stack that was only looked at is well: no wait, and one question to the app.
    pub async fn is_healthy_now(&self, desired: &Desired, observed: &Observed, gate: &Gate) -> bool {
        let once = Gate { successes: 1, ..gate.clone() };
        health::at_a_glance(desired, observed, Timestamp::now()) == Verdict::Healthy
            && in_a_row(&once, &mut Answers::default(), gate.within).await.is_ok()
    }

    /// It is over without success: whose fault is it?
    async fn too_late(
        &self,
        gate: &Gate,
        answers: &Answers,
        reason: String,
        desired: &Desired,
        observed: &Observed,
    ) -> Result<Judged, Outcome> {
        let sentence = match answers.lasting {
            true => format!("not healthy: {reason}"),
            false => format!("not healthy within {} s: {reason}", gate.within.as_secs()),
        };
        let proxy_in_doubt = answers.broken || (answers.proxys_own && !self.proxy_is_healthy(gate).await?);
        if proxy_in_doubt && gate.proxy.as_ref() != Some(&desired.stack) {
            let why = match answers.lasting {
                true => "that is no app's fault: renew the certificate",
                false => {
                    "the proxy does not answer as it should, so nothing can be said about the app: see `evenkeel status \
                     proxy`"
                }
            };
            let sentence = self.masking(desired, observed).over(&sentence);
            return Err(Outcome::Error(format!("{sentence}; {why}")));
        }
        Ok(Judged::Unhealthy(self.with_log(sentence, desired, observed).await))
    }

    /// Whether every service of the proxy's stack has a running task and none restarts.
    async fn proxy_is_healthy(&self, gate: &Gate) -> Result<bool, Outcome> {
        let Some(stack) = &gate.proxy else { return Ok(true) };
        let observed = self.swarm.observe(stack).await?;
        Ok(health::every_service_runs(&observed))
    }

    /// The reason with the last words of the services that fail.
    async fn with_log(&self, reason: String, desired: &Desired, observed: &Observed) -> String {
        let masking = self.masking(desired, observed);
        let mut sentence = masking.over(&reason);
        for service in suspects(observed, desired) {
            if let Some(told) = self.health_check_of(&service, observed).await {
                sentence.push_str(&format!("; its health check says: {}", masking.over(&told)));
            }
            let lines = self.swarm.log_tail(&service, last_words::READ).await.unwrap_or_default();
            let lines = last_words::told(lines.iter().map(|line| masking.over(line)).collect());
            if !lines.is_empty() {
                sentence.push_str(&format!("; last words of {service}: {}", lines.join(" | ")));
            }
        }
        sentence
    }
}

impl Keeper<'_> {
    /// What the health check of a service printed last, where one does not pass.
    async fn health_check_of(&self, service: &str, observed: &Observed) -> Option<String> {
        let id = &observed.services.get(service)?.id;
        let ill = |container: &&Container| {
            container.service.as_ref() == Some(id)
                && matches!(container.health.as_deref(), Some("starting" | "unhealthy"))
        };
        let container = observed.containers.iter().find(ill)?;
        // A container that is gone by now has nothing to say.
        self.swarm.last_health_check(&container.id).await.ok().flatten()
    }

    /// What must not be repeated from a log: scripts with `set -x` print their secrets, many recipes have no other place
    /// for a password than a variable, and what ran before has written there, too.
    fn masking(&self, desired: &Desired, observed: &Observed) -> Masking {
        let mut masking = Masking::default();
        for name in self.dir.kept_secrets().unwrap_or_default() {
            // A certificate's bytes may be no text, and are in no log.
            let kept = self.dir.secret(&name).ok().flatten();
            kept.iter()
                .filter_map(|bytes| std::str::from_utf8(bytes.expose()).ok())
                .for_each(|text| masking.secret(text));
        }
        let live = observed.services.values().flat_map(|service| [Some(&service.spec), service.previous_spec.as_ref()]);
        let specs = desired.services.iter().map(|service| &service.spec).chain(live.flatten());
        specs.for_each(|spec| masking.variables_of(spec, self.hidden.as_ref()));
        self.hidden.iter().for_each(|hidden| masking.values(hidden));
        masking
    }
}

/// The services that fail, or the main one where none does and the answer is wrong all the same.
fn suspects(observed: &Observed, desired: &Desired) -> Vec<String> {
    let failing = health::failing_services(observed, desired);
    if !failing.is_empty() {
        return failing;
    }
    let main = format!("{}_app", desired.stack);
    observed.services.keys().filter(|name| **name == main).cloned().collect()
}

fn rules(applied: &Applied, gate: &Gate) -> Rules {
    Rules {
        stable_for: gate.stable_for,
        exits: EXITS,
        wrote: applied.services.keys().cloned().collect(),
        baseline: applied.services.clone(),
        images: applied.images.clone(),
    }
}

fn meddled_with(how: &str) -> Outcome {
    Outcome::Error(format!(
        "{how}, so nothing can be said of what was asked for, and no one is blamed; the next run makes it as declared. To \
         work on it by hand, `evenkeel pause` it first"
    ))
}

/// What the questions so far tell about the proxy.
#[derive(Debug, Default)]
struct Answers {
    /// The last question got no answer at all.
    broken: bool,
    /// The last answer was the proxy's own.
    proxys_own: bool,
    /// Waiting will not help.
    lasting: bool,
}

/// Asks every check `successes` times in a row; what a page loads only the last time. Who hangs is not waited for
/// longer than what is `left`.
async fn in_a_row(gate: &Gate, answers: &mut Answers, left: Duration) -> Result<(), String> {
    let timeouts = Timeouts::default().within(left);
    let pages: Vec<Check> = gate.checks.iter().map(Check::without_assets).collect();
    for to_come in (0..gate.successes).rev() {
        let checks = if to_come == 0 { &gate.checks } else { &pages };
        match probe::ask(&gate.target, checks, timeouts).await {
            Ok(asked) if to_come == 0 => asked.remarks.iter().for_each(|remark| warn!(remark, "well, with a remark")),
            Ok(_) => {}
            Err(failure) => {
                *answers = Answers::of(&failure);
                return Err(failure.sentence);
            }
        }
    }
    *answers = Answers::default();
    Ok(())
}

impl Answers {
    fn of(failure: &Failure) -> Self {
        let Failure { whose, lasting, .. } = *failure;
        Self { broken: whose == Whose::Unknown, proxys_own: whose == Whose::Proxys, lasting }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::http::{StatusCode, Uri};

    use super::*;
    use crate::config::HttpCheck;
    use crate::health::gate::served::Wanted;

    fn gate(within: u64, stable_for: u64, checks: Vec<Check>) -> Gate {
        let [within, stable_for] = [within, stable_for].map(Duration::from_secs);
        let target = Target::https("127.0.0.1:443".parse().unwrap(), "wiki.example.org", None);
        Gate { within, stable_for, successes: 1, target, checks, proxy: None }
    }

    fn doubts(gate: &Gate) -> Vec<String> {
        gate.doubts("2026-06-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_verdict_before_the_proxy_looks_is_in_doubt_where_the_app_is_routed() {
        let page = || vec![Check::Page(HttpCheck::at("/"))];
        assert_eq!(doubts(&gate(15, 16, page())), [""; 0]);
        let told = doubts(&gate(14, 15, page()));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("gate.within is 14s") && told[0].ends_with("give it 15s or more"), "{told:?}");
        assert!(told[1].starts_with("gate.stable_for is 15s") && told[1].ends_with("give it 16s or more"), "{told:?}");
        for checks in [vec![], vec![Check::Tcp(22)], vec![Check::AnyAnswer]] {
            assert_eq!(doubts(&gate(2, 1, checks)), [""; 0]);
        }
    }

    #[test]
    fn a_declared_certificate_in_its_last_days_is_told_beforehand() {
        let mut params = rcgen::CertificateParams::new(vec!["*.example.org".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2026, 6, 11);
        let leaf = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let with = |warn_days| {
            let mut gate = gate(600, 20, vec![]);
            gate.target.certificate = Some(Wanted { chain: vec![leaf.clone()], warn_days, fail_days: 0 });
            doubts(&gate)
        };
        assert_eq!(with(10), [""; 0]);
        assert!(with(11)[0].contains("10 days left: *.example.org"), "{:?}", with(11));
    }

    #[test]
    fn a_gate_is_kept_whole_without_any_login_and_read_strictly() {
        let page = HttpCheck {
            status: vec![200],
            header: [("x-app".to_owned(), "wiki".to_owned())].into(),
            auth: Some("/run/secrets/login".into()),
            host: Some("chat.example.org".parse().unwrap()),
            assets: true,
            ..HttpCheck::at("/health")
        };
        let mut gate = gate(600, 20, vec![Check::Page(page), Check::AnyAnswer, Check::Tcp(22)]);
        gate.target.auth = Some("user:password".to_owned().into());
        gate.target.unrouted = Some("nobody.example.org".to_owned());
        gate.target.certificate = Some(Wanted { chain: vec![vec![0, 255, 7]], warn_days: 14, fail_days: 1 });
        gate.proxy = Some("traefik_example_org".parse().unwrap());

        let kept = gate.kept();
        assert!(!kept.to_string().contains("password"), "{kept}");
        let again = Gate::of_kept(&kept).unwrap();
        assert_eq!((again.kept(), &again.checks), (kept.clone(), &gate.checks));
        assert_eq!((again.target.certificate, again.proxy), (gate.target.certificate, gate.proxy));

        for (at, value) in [("/more", "1"), ("/target/auth", "u:p"), ("/proxy", "no stack!"), ("/checks/1", "ping")] {
            let mut odd = kept.clone();
            let (parent, key) = at.rsplit_once('/').unwrap();
            match odd.pointer_mut(parent).unwrap() {
                Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.into(),
                object => object[key] = value.into(),
            }
            assert!(Gate::of_kept(&odd).is_err(), "{at}");
        }
    }

    /// A page with one image, which answers well but for the requests with these numbers.
    async fn page(ill: &'static [usize]) -> (Target, Arc<Mutex<Vec<String>>>) {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let answer = async move |uri: Uri| {
            let mut seen = seen.lock().unwrap();
            seen.push(uri.path().to_owned());
            let status = if ill.contains(&seen.len()) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
            match uri.path() {
                "/" => (status, [("content-type", "text/html")], "<img src=/i.png>"),
                _ => (status, [("content-type", "image/png")], ""),
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (Target::http(address, "wiki.example.org"), asked)
    }

    #[tokio::test]
    async fn successes_count_in_a_row_and_assets_once() {
        let check = Check::Page(HttpCheck { assets: true, ..HttpCheck::at("/") });
        let asked = async |ill| {
            let (target, asked) = page(ill).await;
            let gate = Gate { successes: 3, target, ..gate(60, 20, vec![check.clone()]) };
            let mut answers = Answers::default();
            let first = in_a_row(&gate, &mut answers, gate.within).await;
            assert!(!answers.broken && !answers.proxys_own);
            (first, asked.lock().unwrap().join(" "))
        };
        assert_eq!(asked(&[]).await, (Ok(()), "/ / / /i.png".to_owned()));
        let (second, paths) = asked(&[2]).await;
        assert_eq!((second.unwrap_err().as_str(), paths.as_str()), ("/ answers 500, wanted is 200 to 399", "/ /"));
        let (image, _) = asked(&[4]).await;
        assert!(image.unwrap_err().contains("the image http://wiki.example.org/i.png, which answers 500"));
    }

    /// It takes connections and says nothing.
    #[tokio::test]
    async fn who_hangs_is_not_waited_for_beyond_what_is_left() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::http(silent.local_addr().unwrap(), "wiki.example.org");
        let gate = Gate { target, ..gate(60, 20, vec![Check::Page(HttpCheck::at("/"))]) };
        let told = in_a_row(&gate, &mut Answers::default(), Duration::from_millis(10)).await.unwrap_err();
        assert!(told.starts_with("/: status: nothing from") && told.ends_with("within 1s"), "{told}");
        let patient = Timeouts::default().within(Duration::from_secs(600));
        assert_eq!((patient.connect, patient.head), (Duration::from_secs(5), Duration::from_secs(10)));
    }

    #[tokio::test]
    async fn who_does_not_answer_at_all_is_not_blamed() {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let target = Target::http(closed, "wiki.example.org");
        let gate = Gate { target, ..gate(60, 20, vec![Check::Page(HttpCheck::at("/"))]) };
        let mut answers = Answers::default();
        assert!(in_a_row(&gate, &mut answers, gate.within).await.unwrap_err().contains("connect: "));
        assert!(answers.broken);
    }
}
