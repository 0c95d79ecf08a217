//! Apps behind the proxy that it cannot or must not serve, and whose fault that is.

use std::time::Duration;

use super::certificate;
use super::{Town, on_engine};

#[test]
fn an_app_is_judged_through_the_proxy_and_never_blamed_for_it() {
    let mut town = Town::new();
    town.give(&certificate::good(&town.world.base));
    town.declare("standin", "standin-app", "1.0.0+1.0.0", "");

    refuses_labels_that_ask_an_authority(&mut town);
    refuses_hosts_that_the_certificate_does_not_cover(&mut town);
    town.ends(&["proxy"], 0, "proxy: applied: installed");
    town.ends(&["app", "standin"], 0, "standin: applied: installed");
    an_app_that_nobody_routes_is_unhealthy(&mut town);
    a_crash_loop_is_told_in_seconds(&mut town);
    a_change_that_misleads_the_proxy_goes_back(&mut town);
    nobody_is_blamed_while_the_proxy_is_down(&mut town);
}

fn refuses_labels_that_ask_an_authority(town: &mut Town) {
    let label = "traefik.http.routers.acme.tls.certResolver";
    let overlay = town.overlay("acme.yml", label, "production");
    town.declare("acme", "standin-app", "1.0.0+1.0.0", &overlay);
    let run = town.ends(&["app", "acme"], 12, "acme: blocked");
    assert!(run.said.out.contains(&town.service("acme")) && run.said.out.contains(label), "{run:#?}");
    run.wrote_nothing().was_quick();
}

fn refuses_hosts_that_the_certificate_does_not_cover(town: &mut Town) {
    town.declare("wide", "standin-app", "1.0.0+1.0.0", "env = { EXTRA_DOMAINS = \", `www.elsewhere.example`\" }");
    let run = town.ends(&["app", "wide"], 12, "www.elsewhere.example");
    assert!(run.said.out.contains(&format!("*.{}", town.world.base)), "{run:#?}");
    run.wrote_nothing().was_quick();
}

/// It is up for Swarm; what answers under its name is the proxy.
fn an_app_that_nobody_routes_is_unhealthy(town: &mut Town) {
    let overlay = town.overlay("hidden.yml", "traefik.enable", "false");
    let gate = "gate = { stable_for = \"1s\", within = \"8s\" }";
    town.declare("hidden", "standin-app", "1.0.0+1.0.0", &format!("{overlay}\n{gate}"));
    let run = town.ends(&["app", "hidden"], 14, "only the proxy answers (404)");
    assert!(run.took < Duration::from_secs(30), "{run:#?}");
}

fn a_crash_loop_is_told_in_seconds(town: &mut Town) {
    town.declare("crash", "crash", "1.0.0+1.0.0", "gate = { within = \"120s\" }");
    let run = town.ends(&["app", "crash"], 14, "last words of");
    assert!(run.took < Duration::from_secs(40), "{run:#?}");
}

/// The port is wrong, which Swarm does not see, and the proxy only at its next look: what a pause of one second takes
/// for success, the default one does not.
fn a_change_that_misleads_the_proxy_goes_back(town: &mut Town) {
    let label = format!("traefik.http.services.{}.loadbalancer.server.port", town.world.stack("standin"));
    let overlay = town.overlay("port.yml", &label, "9");
    town.declare("standin", "standin-app", "1.0.0+1.0.0", &format!("{overlay}\ngate = {{ within = \"30s\" }}"));
    town.ends(&["app", "standin"], 11, "nobody answers behind the proxy (502)");
    town.is_served("standin", "1.0.0");
    town.ends(&["app", "standin"], 10, "not tried again by itself").wrote_nothing().was_quick();
    town.declare("standin", "standin-app", "1.0.0+1.0.0", "");
    town.ends(&["app", "standin"], 0, "standin: converged").wrote_nothing();
}

fn nobody_is_blamed_while_the_proxy_is_down(town: &mut Town) {
    let proxy = town.service("proxy");
    on_engine(async move |swarm| swarm.scale_to_nothing(&proxy).await.unwrap());
    let gate = "gate = { stable_for = \"1s\", within = \"20s\" }";
    town.declare("standin", "standin-app", "1.0.0+1.0.0", &format!("env = {{ MOTD = \"changed\" }}\n{gate}"));
    let run = town.ends(&["app", "standin"], 1, "nothing can be said about the app");
    assert_eq!(run.writes.len(), 1, "{run:#?}");
    assert_eq!(town.world.state("standin")["changing"]["failed"], serde_json::Value::Null);

    town.ends(&["proxy"], 0, "proxy: applied: repaired");
    town.declare("standin", "standin-app", "1.0.0+1.0.0", "env = { MOTD = \"changed\" }");
    town.ends(&["app", "standin"], 0, "the Swarm has it so already").wrote_nothing();
    town.ends(&["app", "standin"], 0, "standin: converged").wrote_nothing().was_quick();
    let service = &town.world.observe("standin").services[&town.service("standin")];
    let env = service.spec.pointer("/TaskTemplate/ContainerSpec/Env").unwrap().as_array().unwrap();
    assert!(env.iter().any(|entry| entry == "MOTD=changed"), "{env:?}");
}
