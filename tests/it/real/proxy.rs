//! The proxy from its first install through rotations of its certificate, and what bad files may do to it: nothing.

use super::certificate::{self, Certificate};
use super::{Town, on_engine};

#[test]
fn proxy_routes_apps_and_serves_the_declared_certificate_whatever_becomes_of_its_files() {
    let mut town = Town::new();
    let first = certificate::good(&town.world.base);
    town.declare("standin", "standin-app", "1.0.0+1.0.0", "env = { LETS_ENCRYPT_ENV = \"production\" }");
    town.declare("notes", "notes", "1.0.0+1.0.0", "");

    installs_nothing_with_a_bad_certificate(&town);
    installs_the_proxy_and_apps_behind_it(&town, &first);
    asks_no_authority_for_certificates(&town);
    leaves_what_is_as_declared_alone(&town);
    let second = rotates_the_certificate_and_back(&town, &first);
    serves_the_old_certificate_when_a_bad_one_is_declared(&town, &first);
    judges_apps_by_what_is_served(&town, &second);
    repairs_an_absent_proxy_with_the_last_good_certificate(&town, &first);
    refuses_a_host_outside_of_what_is_served(&mut town);
}

fn installs_nothing_with_a_bad_certificate(town: &Town) {
    town.give(&certificate::expired(&town.world.base));
    town.ends(&["proxy"], 12, "expired at").wrote_nothing().was_quick();
}

fn installs_the_proxy_and_apps_behind_it(town: &Town, certificate: &Certificate) {
    town.give(certificate);
    town.ends(&["proxy"], 0, "proxy: applied: installed 5.1.0+v3.6.12");
    assert_eq!(town.served(), certificate.leaf);
    let run = town.ends(&["app"], 0, "standin: applied: installed 1.0.0+1.0.0");
    assert!(run.said.out.contains("notes: applied: installed 1.0.0+1.0.0"), "{run:#?}");
    town.is_served("standin", "1.0.0");
    town.is_served("notes", "1.0.0");
}

/// Every sample says `LETS_ENCRYPT_ENV=production`, and so does one operator.
fn asks_no_authority_for_certificates(town: &Town) {
    for app in ["proxy", "standin", "notes"] {
        let service = &town.world.observe(app).services[&town.service(app)];
        let env = service.spec.pointer("/TaskTemplate/ContainerSpec/Env").unwrap().as_array().unwrap();
        assert!(env.iter().any(|entry| entry == "LETS_ENCRYPT_ENV="), "{app}: {env:?}");
        let labels = service.spec["Labels"].as_object().unwrap();
        let resolvers: Vec<_> = labels.iter().filter(|(label, _)| label.ends_with("certresolver")).collect();
        assert!(resolvers.len() == 1 && resolvers[0].1 == "", "{app}: {resolvers:?}");
    }
    let log = town.proxy_log();
    assert!(log.iter().any(|line| line.contains("Configuration received")), "{log:#?}");
    // Without any resolver this one is still there, to answer challenges that nobody asked for.
    let idle = |line: &&String| line.contains("acme.ChallengeTLSALPN");
    let acme: Vec<_> =
        log.iter().filter(|line| line.to_lowercase().contains("acme")).filter(|line| !idle(line)).collect();
    assert!(acme.is_empty(), "{acme:#?}");
}

fn leaves_what_is_as_declared_alone(town: &Town) {
    let apps = ["proxy", "standin", "notes"];
    let before = apps.map(|app| town.world.fingerprint(app));
    let proxy = town.ends(&["proxy"], 0, "proxy: converged");
    let app = town.ends(&["app"], 0, "standin: converged");
    assert!(app.said.out.contains("notes: converged"), "{app:#?}");
    for run in [&proxy, &app] {
        run.wrote_nothing().was_quick();
    }
    assert_eq!(apps.map(|app| town.world.fingerprint(app)), before);
}

fn rotates_the_certificate_and_back(town: &Town, first: &Certificate) -> Certificate {
    let second = certificate::good(&town.world.base);
    let before = town.proxy_secrets();
    assert_eq!(before.len(), 2, "{before:?}");

    town.give(&second);
    town.ends(&["app"], 0, "standin: converged").wrote_nothing().was_quick();
    town.ends(&["proxy"], 0, "proxy: applied: changed");
    assert_eq!(town.served(), second.leaf);
    let between = town.proxy_secrets();
    assert!(between.len() == 2 && between.iter().all(|name| !before.contains(name)), "{before:?} {between:?}");
    town.ends(&["proxy"], 0, "proxy: converged").wrote_nothing().was_quick();

    town.give(first);
    town.ends(&["proxy"], 0, "proxy: applied: changed");
    assert_eq!(town.served(), first.leaf);
    assert_eq!(town.proxy_secrets(), before);
    second
}

fn serves_the_old_certificate_when_a_bad_one_is_declared(town: &Town, good: &Certificate) {
    let base = town.world.base.as_str();
    let before = town.world.fingerprint("proxy");
    let blocked = |why: &str| {
        let run = town.ends(&["proxy"], 12, "proxy: blocked");
        assert!(run.said.out.contains(why), "{why:?}: {run:#?}");
        run.wrote_nothing().was_quick();
        assert_eq!(town.served(), good.leaf);
        assert_eq!(town.world.fingerprint("proxy"), before);
    };
    let garbage = Certificate { chain: "no certificate\n".into(), key: "no key\n".into(), leaf: Vec::new() };
    let bad = [
        (certificate::expired(base), "expired at"),
        (certificate::not_yet_valid(base), "is not valid before"),
        (certificate::with_key_of(certificate::good(base), certificate::good(base)), "is not the private key"),
        (certificate::covering(&["elsewhere.example"]), "does not cover"),
        (garbage, "cannot be used"),
    ];
    for (certificate, why) in bad {
        town.give(&certificate);
        blocked(why);
    }
    std::fs::remove_file(town.world.dir.path().join("chain.pem")).unwrap();
    blocked("cannot be read");
}

/// The declared file is unreadable or bad, and no reason to touch an app, to blame it, or to ask an authority.
fn judges_apps_by_what_is_served(town: &Town, new: &Certificate) {
    let bad = [
        certificate::expired(&town.world.base),
        Certificate { chain: "no certificate".into(), ..certificate::good("x.example") },
    ];
    for certificate in &bad {
        town.give(certificate);
        town.ends(&["app", "notes"], 0, "notes: converged").wrote_nothing().was_quick();
    }
    // Good, and not served yet: the proxy has not been run since.
    town.give(new);
    town.ends(&["app", "standin"], 0, "standin: converged").wrote_nothing().was_quick();
}

fn repairs_an_absent_proxy_with_the_last_good_certificate(town: &Town, good: &Certificate) {
    town.give(&certificate::expired(&town.world.base));
    let service = town.service("proxy");
    on_engine(async move |swarm| swarm.remove_service(&service).await.unwrap());
    let run = town.ends(&["proxy"], 12, "proxy: blocked");
    assert!(run.said.out.contains("repaired 5.1.0+v3.6.12: created service"), "{run:#?}");
    assert_eq!(town.served(), good.leaf);
    town.ends(&["app"], 0, "standin: converged").wrote_nothing();
}

/// The declared file is bad, so the served certificate says which hosts can be had.
fn refuses_a_host_outside_of_what_is_served(town: &mut Town) {
    town.declare("outside", "standin-app", "1.0.0+1.0.0", "env = { EXTRA_DOMAINS = ', `far.elsewhere.example`' }");
    let run = town.ends(&["app", "outside"], 12, "far.elsewhere.example");
    assert!(run.said.out.contains("does not cover"), "{run:#?}");
    run.wrote_nothing();
}
