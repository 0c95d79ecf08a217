//! What a gate asks besides an answer: a page's assets, the certificate's days and chain, and who is to blame.

use evenkeel::certificate as pem;
use evenkeel::config::HttpCheck;
use evenkeel::health::gate::served::Wanted;
use evenkeel::host::probe::{Asked, Check, Phase, Target, Timeouts, ask};
use serde_json::Value;

use super::certificate;
use super::{Town, wait_for};

#[test]
fn a_gate_asks_for_what_users_would_miss() {
    let mut town = Town::new();
    let certificate = certificate::issued(&town.world.base);
    town.give(&certificate);
    town.ends(&["proxy"], 0, "proxy: applied: installed");
    let chain = pem::chain(certificate.chain.as_bytes());
    assert_eq!(chain.len(), 2);

    installs_a_page_with_all_its_assets(&mut town);
    asks_the_proxy_without_any_app_of_ours(&town, &chain);
    tells_an_asset_that_is_gone_and_goes_back(&mut town);
    tells_days_that_are_too_few_and_blames_no_app(&mut town);
    blames_an_app_that_never_answers(&mut town);
    warns_of_a_gate_that_is_done_before_the_proxy_looks(&mut town);
}

/// The stand-in serves its version as its page.
fn page(town: &mut Town, html: &str, gate: &str) {
    let text = format!("services:\n  app:\n    environment:\n      VERSION: '1.0.0 {html}'\n");
    let file = town.world.file("page.yml", text.as_bytes());
    let compose = format!("compose = [\"compose.yml\", \"{}\"]", file.display());
    town.declare("page", "standin-app", "1.0.0+1.0.0", &format!("{compose}\ngate = {{ {gate} }}"));
}

const ASSETS: &str = "http = [{ path = \"/\", body = \"1.0.0 <\", assets = true }], stable_for = \"1s\"";
const WELL: &str = "<link rel=stylesheet href=/healthz><img src=\"data:image/gif;base64,AA==\">";

fn installs_a_page_with_all_its_assets(town: &mut Town) {
    page(town, WELL, &format!("{ASSETS}, within = \"5m\""));
    town.ends(&["app", "page"], 0, "page: applied: installed 1.0.0+1.0.0");
}

fn asks_the_proxy_without_any_app_of_ours(town: &Town, chain: &[Vec<u8>]) {
    let asked = |chain: &[Vec<u8>], path: &str| {
        let wanted = Wanted { chain: chain.to_vec(), ..Wanted::default() };
        let target = Target::https(town.https(), town.world.domain("page"), Some(wanted));
        let check = Check::Page(HttpCheck { assets: true, ..HttpCheck::at(path) });
        wait_for(async move { ask(&target, &[check, Check::Tcp(443)], Timeouts::default()).await })
    };
    assert_eq!(asked(chain, "/"), Ok(Asked::default()));
    assert_eq!(asked(chain, "/gone").unwrap_err().phase, Phase::Status);
    let leaf_alone = asked(&chain[..1], "/").unwrap_err();
    assert_eq!(leaf_alone.phase, Phase::Tls);
    assert!(leaf_alone.sentence.contains("with another chain") && leaf_alone.sentence.contains("CN=Town Authority"));
}

fn tells_an_asset_that_is_gone_and_goes_back(town: &mut Town) {
    page(town, "<link rel=stylesheet href=/gone.css>", &format!("{ASSETS}, within = \"40s\""));
    let told = format!("/ loads the stylesheet https://{}/gone.css, which answers 404", town.world.domain("page"));
    town.ends(&["app", "page"], 11, &told);
    town.is_served("page", "/healthz");

    // The answer, and what the app said last.
    let words = [&told, "last words of ", "data has schema 1, wants 1"];
    let refused = town.world.state("page")["refused"][0]["reason"].to_string();
    let alerts: Value = serde_json::from_str(&town.world.ok(&["alerts", "list", "--json"]).out).unwrap();
    let rollback = alerts.as_array().unwrap().iter().find(|alert| alert["reason"] == "rollback").unwrap();
    let status = town.run(&["status", "page"]).said.out;
    let line = status.lines().find(|line| line.contains("refused: 1.0.0+1.0.0 since ")).unwrap_or_default();
    for text in [&refused, &rollback["evidence"].to_string(), line] {
        words.iter().for_each(|words| assert!(text.contains(*words), "{words:?}: {text}"));
    }
}

fn tells_days_that_are_too_few_and_blames_no_app(town: &mut Town) {
    page(town, WELL, &format!("{ASSETS}, within = \"3s\", certificate = {{ fail_days = 3650 }}"));
    town.ends(&["app", "page"], 0, "page: converged").wrote_nothing();
    let expiring = certificate::ending_soon(&town.world.base);
    town.give(&expiring);
    town.ends(&["proxy"], 0, "proxy: applied: changed");
    let run = town.ends(&["app", "page"], 1, "days left, and 3650 are wanted: ");
    assert!(run.said.out.contains("no app's fault: renew the certificate"), "{run:#?}");
    run.wrote_nothing().was_quick();
}

/// Its health check passes, and at the port where it is asked it accepts and says nothing. The proxy waits for it as
/// long as anybody does, and answers for others meanwhile.
fn blames_an_app_that_never_answers(town: &mut Town) {
    let port = format!("traefik.http.services.{}.loadbalancer.server.port=8081", town.world.stack("silent"));
    let text = format!(
        "services:\n  app:\n    entrypoint: [sh, -c, \"nc -ll -p 8081 -e sleep 1000 & exec standin\"]\n    deploy:\n      \
         labels: [\"{port}\"]\n"
    );
    let file = town.world.file("silent.yml", text.as_bytes());
    let compose = format!("compose = [\"compose.yml\", \"{}\"]", file.display());
    let gate = "gate = { stable_for = \"20s\", within = \"60s\" }";
    town.declare("silent", "standin-app", "1.0.0+1.0.0", &format!("{compose}\n{gate}"));
    town.ends(&["app", "silent"], 14, "status: nothing from");
}

fn warns_of_a_gate_that_is_done_before_the_proxy_looks(town: &mut Town) {
    let run = town.run(&["check"]);
    for told in ["gate.stable_for is 1s, and the proxy looks at the Swarm every 15s", "gate.within is 3s"] {
        assert!(run.said.out.contains(told), "{told}: {run:#?}");
    }
}
