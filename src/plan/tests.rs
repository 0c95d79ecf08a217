//! What a plan promises, on recorded kinds of worlds.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{desired, live_config, live_network, live_secret, live_volume, observed, spec, with};
use super::*;
use crate::desired::SecretSource;
use crate::model::observed::Observed;

fn version(body: &[u8]) -> String {
    format!("c{:07x}", body.iter().map(|b| u32::from(*b)).sum::<u32>())
}

fn plan(observed: &Observed, desired: &Desired) -> Result<Plan, Vec<PlanError>> {
    plan_keeping(&[], observed, desired)
}

fn plan_keeping(kept: &[&str], observed: &Observed, desired: &Desired) -> Result<Plan, Vec<PlanError>> {
    let kept: BTreeSet<String> = kept.iter().map(|name| name.to_string()).collect();
    Plan::new(observed, desired, &Context::new(&kept, &version, Resolve::Changed))
}

fn told(plan: &Plan) -> Vec<String> {
    plan.changes.iter().map(|c| format!("{} {} {}", c.act.verb(), c.object.word(), c.name)).collect()
}

fn only(plan: Result<Plan, Vec<PlanError>>) -> Change {
    let mut plan = plan.unwrap();
    assert_eq!(plan.changes.len(), 1, "{plan}");
    plan.changes.remove(0)
}

fn error(plan: Result<Plan, Vec<PlanError>>) -> String {
    let errors = plan.unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

fn sent(change: &Change) -> &Value {
    match &change.act {
        Act::CreateService { spec } | Act::UpdateService { spec, .. } => spec,
        other => panic!("{other:?} sends no service spec"),
    }
}

#[test]
fn a_first_install_creates_everything_in_the_order_of_need() {
    let wanted = desired()
        .secret("db", SecretSource::Generated(Rule::default()))
        .config("entrypoint", "#!/bin/sh")
        .service(spec("app", "wiki:1"));
    let plan = plan(&Observed::default(), &wanted).unwrap();
    assert_eq!(
        told(&plan),
        [
            "create network wiki_default",
            "create secret wiki_db_v1",
            "create config wiki_entrypoint_v1",
            "create service wiki_app"
        ]
    );
    assert_eq!(plan.images(), BTreeSet::from(["wiki:1".to_owned()]));
    assert_eq!(plan.after_gate().count(), 0);
}

#[test]
fn what_is_as_declared_makes_an_empty_plan() {
    let wanted = desired()
        .secret("db", SecretSource::Generated(Rule::default()))
        .config("entrypoint", "#!/bin/sh")
        .service(spec("app", "wiki:1"));
    let plan = plan(&observed(&wanted), &wanted).unwrap();
    assert!(plan.is_empty(), "{plan}");
    assert_eq!((plan.unchanged, plan.summary().as_str()), (4, "nothing differs"));
}

#[test]
fn a_service_that_was_removed_by_hand_comes_back() {
    let wanted = desired().service(spec("app", "wiki:1"));
    let mut live = observed(&wanted);
    live.services.clear();
    assert_eq!(told(&plan(&live, &wanted).unwrap()), ["create service wiki_app"]);
}

#[test]
fn a_service_that_the_recipe_dropped_goes_and_its_volume_stays() {
    let both = desired().service(spec("app", "wiki:1")).service(spec("old", "old:1"));
    let mut live = observed(&both);
    live.volumes.insert("wiki_old".into(), live_volume("wiki_old"));
    let wanted = desired().service(spec("app", "wiki:1"));
    let plan = plan(&live, &wanted).unwrap();
    assert_eq!(told(&plan), ["remove service wiki_old"]);
    assert_eq!(plan.before_gate().count(), 1);
}

#[test]
fn an_edited_label_is_put_back_and_restarts_nothing() {
    let wanted = desired().service(spec("app", "wiki:1"));
    let mut live = observed(&wanted);
    live.services.get_mut("wiki_app").unwrap().spec["Labels"]["traefik.enable"] = json!("false");
    let change = only(plan(&live, &wanted));
    assert!(!change.restarts);
    assert_eq!(change.reason, "labels traefik.enable");
    assert!(sent(&change)["Labels"].get("traefik.enable").is_none());
}

#[test]
fn replicas_changed_by_hand_are_put_back() {
    let wanted = desired().service(spec("app", "wiki:1"));
    let mut live = observed(&wanted);
    live.services.get_mut("wiki_app").unwrap().spec["Mode"]["Replicated"]["Replicas"] = json!(0);
    let change = only(plan(&live, &wanted));
    assert_eq!(change.reason, "replicas 0 -> 1");
}

#[test]
fn another_image_for_a_service_that_runs_nothing_restarts_nothing() {
    let none = |image| with(spec("app", image), "/Mode/Replicated/Replicas", json!(0));
    for (live, wanted) in [
        (none("wiki:1"), none("wiki:2")),
        (none("wiki:1"), spec("app", "wiki:2")),
        (spec("app", "wiki:1"), none("wiki:2")),
    ] {
        assert!(!only(plan(&observed(&desired().service(live)), &desired().service(wanted))).restarts);
    }
}

#[test]
fn an_update_that_restarts_nothing_sends_the_live_words_back() {
    let wanted = desired().service(with(spec("app", "wiki:1"), "/Labels/a", json!("b")));
    let mut live = observed(&desired().service(spec("app", "wiki:1")));
    let task = &mut live.services.get_mut("wiki_app").unwrap().spec["TaskTemplate"];
    task["ContainerSpec"]["Image"] = json!("wiki:1@sha256:abc");
    task["Placement"] = json!({ "Platforms": [{ "OS": "linux" }] });
    task["ForceUpdate"] = json!(3);
    let mut expected = task.clone();
    expected["Networks"][0]["Target"] = json!("wiki_default");
    let change = only(plan(&live, &wanted));
    assert!(!change.restarts);
    assert_eq!(sent(&change)["TaskTemplate"], expected);
}

#[test]
fn a_running_digest_is_kept_as_long_as_the_recipe_names_the_same_tag() {
    let wanted = desired().service(with(spec("app", "wiki:1"), "/TaskTemplate/ContainerSpec/Env", json!(["A=1"])));
    let mut live = observed(&desired().service(spec("app", "wiki:1")));
    let task = &mut live.services.get_mut("wiki_app").unwrap().spec["TaskTemplate"];
    task["ContainerSpec"]["Image"] = json!("wiki:1@sha256:abc");
    task["ForceUpdate"] = json!(2);
    let plan = plan(&live, &wanted).unwrap();
    assert!(plan.images().is_empty());
    let change = &plan.changes[0];
    assert!(change.restarts);
    assert_eq!(sent(change)["TaskTemplate"]["ContainerSpec"]["Image"], "wiki:1@sha256:abc");
    assert_eq!(sent(change)["TaskTemplate"]["ForceUpdate"], 2);
}

#[test]
fn another_tag_is_looked_up_and_put_in() {
    let wanted = desired().service(spec("app", "wiki:2"));
    let live = observed(&desired().service(spec("app", "wiki:1")));
    let mut plan = plan(&live, &wanted).unwrap();
    assert_eq!(plan.images(), BTreeSet::from(["wiki:2".to_owned()]));
    plan.with_images(&[("wiki:2".to_owned(), "wiki:2@sha256:def".to_owned())].into());
    assert_eq!(sent(&plan.changes[0])["TaskTemplate"]["ContainerSpec"]["Image"], "wiki:2@sha256:def");
    assert!(plan.changes[0].reason.starts_with("image wiki:1 -> wiki:2; "), "{}", plan.changes[0].reason);
}

#[test]
fn an_image_set_by_hand_is_replaced_although_the_label_agrees() {
    let wanted = desired().service(spec("app", "wiki:1"));
    let mut live = observed(&wanted);
    live.services.get_mut("wiki_app").unwrap().spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("evil:1");
    let change = only(plan(&live, &wanted));
    assert_eq!(sent(&change)["TaskTemplate"]["ContainerSpec"]["Image"], "wiki:1");
}

#[test]
fn with_always_a_moved_tag_is_an_update() {
    let mut wanted = desired().service(spec("app", "wiki:1"));
    let mut live = observed(&wanted);
    live.services.get_mut("wiki_app").unwrap().spec["TaskTemplate"]["ContainerSpec"]["Image"] =
        json!("wiki:1@sha256:a");
    let kept = BTreeSet::new();
    let context = Context::new(&kept, &version, Resolve::Always);
    assert_eq!(image_references(&wanted), BTreeSet::from(["wiki:1".to_owned()]));
    resolve_images(&mut wanted, &[("wiki:1".to_owned(), "wiki:1@sha256:a".to_owned())].into());
    assert!(Plan::new(&live, &wanted, &context).unwrap().is_empty());
    resolve_images(&mut wanted, &[("wiki:1@sha256:a".to_owned(), "wiki:1@sha256:b".to_owned())].into());
    assert!(only(Plan::new(&live, &wanted, &context)).restarts);
}

#[test]
fn the_order_of_ports_follows_the_endpoint_and_never_causes_a_write() {
    let udp = json!({ "Protocol": "udp", "TargetPort": 53, "PublishedPort": 53 });
    let tcp = json!({ "TargetPort": 53, "PublishedPort": 53 });
    let one_way = desired().service(with(spec("app", "dns:1"), "/EndpointSpec/Ports", json!([udp, tcp])));
    let other_way = with(spec("app", "dns:1"), "/EndpointSpec/Ports", json!([tcp, udp]));
    let live = observed(&one_way);
    assert!(plan(&live, &desired().service(other_way.clone())).unwrap().is_empty());

    let change = only(plan(&live, &desired().service(with(other_way, "/Labels/a", json!("b")))));
    assert!(!change.restarts);
    assert_eq!(sent(&change)["EndpointSpec"]["Ports"], json!(live.services["wiki_app"].endpoint_ports));
}

#[test]
fn another_mode_takes_a_new_service() {
    let wanted = desired().service(with(spec("app", "wiki:1"), "/Mode", json!({ "Global": {} })));
    let live = observed(&desired().service(spec("app", "wiki:1")));
    assert_eq!(told(&plan(&live, &wanted).unwrap()), ["remove service wiki_app", "create service wiki_app"]);
}

#[test]
fn moving_only_the_placement_restarts_nothing() {
    let wanted =
        with(spec("app", "wiki:1"), "/TaskTemplate/Placement", json!({ "Constraints": ["node.role==manager"] }));
    let live = observed(&desired().service(spec("app", "wiki:1")));
    let change = only(plan(&live, &desired().service(wanted.clone())));
    assert!(!change.restarts);
    assert_eq!(sent(&change)["TaskTemplate"]["Placement"], wanted["TaskTemplate"]["Placement"]);
}

#[test]
fn a_service_on_a_network_that_was_made_anew_is_moved_to_it() {
    let wanted = desired().service(spec("app", "wiki:1"));
    let mut live = observed(&wanted);
    live.networks.get_mut("wiki_default").unwrap().id = "another".into();
    assert_eq!(told(&plan(&live, &wanted).unwrap()), ["update service wiki_app"]);
}

#[test]
fn a_secret_that_is_in_no_place_is_told_with_the_way_out() {
    let rule = |generate| SecretSource::Generated(Rule { generate, ..Rule::default() });
    let nothing = Observed::default();
    let external = error(plan(&nothing, &desired().secret("smtp", SecretSource::External)));
    let ungiven = error(plan(&nothing, &desired().secret("smtp", rule(false))));
    for message in [external, ungiven] {
        assert!(message.contains("wiki_smtp_v1") && message.contains("secrets = { smtp = \"/path\" }"), "{message}");
    }
}

#[test]
fn nothing_is_generated_beside_a_volume_that_exists() {
    let app = with(
        spec("app", "wiki:1"),
        "/TaskTemplate/ContainerSpec/Mounts",
        json!([{ "Type": "volume", "Source": "shared_data", "Target": "/data" }]),
    );
    let wanted = desired().secret("db", SecretSource::Generated(Rule::default())).service(app);
    for (name, owner) in [("wiki_db", super::world::STACK), ("shared_data", "somebody")] {
        let mut live = Observed::default();
        live.volumes.insert(name.into(), live_volume(name));
        let labels = &mut live.volumes.get_mut(name).unwrap().labels;
        labels.insert(NAMESPACE_LABEL.into(), owner.into());
        let message = error(plan(&live, &wanted));
        assert!(message.contains(name) && message.contains("secrets = { db = "), "{message}");

        let kept = plan_keeping(&["wiki_db_v1"], &live, &wanted).unwrap();
        let secret = kept.changes.iter().find(|change| change.object == Object::Secret).unwrap();
        assert!(matches!(&secret.act, Act::CreateSecret { data: SecretData::Kept, .. }));
    }
}

#[test]
fn a_volume_of_another_stack_hinders_nobody() {
    let wanted = desired().secret("db", SecretSource::Generated(Rule::default()));
    let mut live = Observed::default();
    live.volumes.insert("other_db".into(), live_volume("other_db"));
    live.volumes.get_mut("other_db").unwrap().labels.insert(NAMESPACE_LABEL.into(), "other".into());
    let change = only(plan(&live, &wanted));
    assert!(matches!(change.act, Act::CreateSecret { data: SecretData::Generated(_), .. }));
}

fn uses_config(name: &str) -> Value {
    let reference = json!([{ "ConfigName": name, "File": { "Name": "/entrypoint.sh", "Mode": 292 } }]);
    with(spec("app", "wiki:1"), "/TaskTemplate/ContainerSpec/Configs", reference)
}

#[test]
fn a_body_that_changed_under_its_name_is_taken_by_content_and_does_not_flap() {
    let before = desired().config("run", "old").service(uses_config("wiki_run_v1"));
    let after = desired().config("run", "new").service(uses_config("wiki_run_v1"));
    let by_content = format!("wiki_run_v1_{}", version(b"new"));
    let mut live = observed(&before);

    let first = plan(&live, &after).unwrap();
    assert_eq!(
        told(&first),
        [format!("create config {by_content}"), "update service wiki_app".into(), "remove config wiki_run_v1".into()]
    );
    assert_eq!(first.after_gate().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["wiki_run_v1"]);
    assert!(first.notes[0].contains("wiki_run_v1") && first.notes[0].contains(&by_content), "{:?}", first.notes);
    let update = first.changes.iter().find(|change| change.object == Object::Service).unwrap();
    assert_eq!(sent(update)["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigName"], by_content.as_str());

    live.configs.insert(by_content.clone(), live_config(&by_content, b"new"));
    live.services = observed(&desired().config("run", "new").service(uses_config(&by_content))).services;
    assert_eq!(told(&plan(&live, &after).unwrap()), ["remove config wiki_run_v1"]);
    live.configs.remove("wiki_run_v1");
    assert!(plan(&live, &after).unwrap().is_empty());

    let back = plan(&live, &before).unwrap();
    assert_eq!(
        told(&back),
        ["create config wiki_run_v1".into(), "update service wiki_app".into(), format!("remove config {by_content}")]
    );
}

#[test]
fn a_template_driver_is_part_of_a_config() {
    let mut wanted = desired().config("run", "{{ env \"A\" }}");
    let live = observed(&wanted);
    wanted.configs[0].spec["Templating"] = json!({ "Name": "golang" });
    let plan = plan(&live, &wanted).unwrap();
    assert!(told(&plan)[0].starts_with("create config wiki_run_v1_c"), "{plan}");
}

#[test]
fn leftovers_go_after_the_gate_and_only_ours() {
    let wanted = desired().service(spec("app", "wiki:1"));
    let mut live = observed(&wanted);
    let mut strange = live_secret("wiki_by_hand");
    strange.labels.clear();
    let mut ours = live_secret("wiki_made");
    ours.labels = [(OUR_LABEL.to_owned(), "wiki".to_owned())].into();
    live.secrets = [strange, ours].into_iter().map(|secret| (secret.name.clone(), secret)).collect();
    live.configs.insert("wiki_old".into(), live_config("wiki_old", b"x"));
    let body = super::world::network_body("wiki_old");
    live.networks.insert("wiki_old".into(), live_network("wiki_old", Some(&body)));
    let plan = plan(&live, &wanted).unwrap();
    assert_eq!(told(&plan), ["remove secret wiki_made", "remove config wiki_old", "remove network wiki_old"]);
    assert_eq!(plan.before_gate().count(), 0);
}

#[test]
fn networks_that_cannot_serve_are_told_with_the_way_out() {
    let mut wanted = desired();
    wanted.external_networks = vec!["proxy".into(), "host".into()];
    assert!(error(plan(&Observed::default(), &wanted)).contains("`docker network create"));

    let mut live = Observed::default();
    live.networks.insert("proxy".into(), live_network("proxy", None));
    live.networks.get_mut("proxy").unwrap().scope = "local".into();
    assert!(error(plan(&live, &wanted)).contains("scope local"));

    let taken = desired().service(spec("app", "wiki:1"));
    live.networks = [("wiki_default".to_owned(), live_network("wiki_default", None))].into();
    assert!(error(plan(&live, &taken)).contains("does not belong to stack wiki"));
}

#[test]
fn a_network_that_differs_is_noted_because_it_cannot_be_changed() {
    let wanted = desired().service(spec("app", "wiki:1"));
    let cases = [
        ("/Internal", json!(true), "internal flag"),
        ("/Attachable", json!(true), "attachable flag"),
        ("/Driver", json!("macvlan"), "driver"),
        ("/Options", json!({ "encrypted": "" }), "driver options"),
        ("/IPAM", json!({ "Config": [{ "Subnet": "10.9.0.0/16" }] }), "subnet"),
    ];
    for (pointer, value, word) in cases {
        let mut other = wanted.clone();
        other.networks[0].body = with(other.networks[0].body.clone(), pointer, value);
        let plan = plan(&observed(&wanted), &other).unwrap();
        assert!(plan.is_empty());
        assert!(plan.notes[0].contains(word), "{:?}", plan.notes);
    }
}

#[test]
fn names_that_the_engine_would_refuse_are_told_all_at_once() {
    let long = |length: usize| "x".repeat(length - "wiki__v1".len());
    let wanted = desired()
        .secret(&long(65), SecretSource::Driver)
        .config(&long(65), "x")
        .config(&long(64), "x")
        .service(spec(&"x".repeat(59), "wiki:1"));
    let errors = plan(&Observed::default(), &wanted).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors.iter().all(|error| matches!(error, PlanError::NameTooLong { .. })));
}

#[test]
fn no_form_of_a_plan_shows_a_secret_value() {
    let wanted = desired().secret("db", SecretSource::Bytes(SecretBytes::new(b"hunter2".to_vec()))).service(with(
        spec("app", "wiki:1"),
        "/TaskTemplate/ContainerSpec/Env",
        json!(["DB_PASSWORD=hunter2", "A=1"]),
    ));
    let live = observed(&desired().service(spec("app", "wiki:1")));
    let plan = plan(&live, &wanted).unwrap();
    let account = plan.account(&live, &BTreeMap::new());
    for form in [
        plan.to_string(),
        plan.render(&account, true),
        plan.summary(),
        plan.to_json(&account).to_string(),
        format!("{plan:?}"),
    ] {
        assert!(!form.contains("hunter2"), "{form}");
    }
    assert!(plan.to_string().contains("A=1"), "{plan}");
}

#[test]
fn a_plan_reads_as_signs_reasons_and_one_line() {
    let wanted = desired().config("run", "x").service(spec("app", "wiki:2"));
    let mut live = observed(&desired().service(spec("app", "wiki:1")));
    live.secrets.insert("wiki_old".into(), live_secret("wiki_old"));
    let plan = plan(&live, &wanted).unwrap();
    assert_eq!(plan.summary(), "created config wiki_run_v1; updated service wiki_app; removed secret wiki_old");
    let page = plan.to_string();
    for part in [
        "wiki: 3 changes, 1 as declared\n",
        "  is created\n    + config wiki_run_v1: is not there\n",
        "  restarts\n    ~ service wiki_app: image wiki:1 -> wiki:2; labels com.docker.stack.image\n",
        "        -Image: wiki:1\n        +Image: wiki:2\n",
        "  goes once the new version has passed its gate\n    - secret wiki_old: no service uses it any more\n",
    ] {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
    assert!(plan.render(&Account::default(), true).contains("\u{1b}["));
}

/// Optional parts of a service spec, as a recipe may have them.
fn parts() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let all = vec![
        ("/TaskTemplate/ContainerSpec/Env", json!(["A=1", "B"])),
        ("/TaskTemplate/ContainerSpec/Env", json!([])),
        ("/TaskTemplate/ContainerSpec/Healthcheck", json!({ "Test": ["CMD", "true"], "Interval": 1_000_000_000 })),
        ("/TaskTemplate/ContainerSpec/Healthcheck", json!({})),
        ("/TaskTemplate/ContainerSpec/Init", json!(false)),
        ("/TaskTemplate/ContainerSpec/StopGracePeriod", json!(0)),
        (
            "/TaskTemplate/ContainerSpec/Mounts",
            json!([{ "Type": "volume", "Source": "wiki_db", "Target": "/db", "Consistency": "cached" }]),
        ),
        (
            "/TaskTemplate/ContainerSpec/Secrets",
            json!([{ "SecretName": "wiki_db_v1", "File": { "Name": "db", "UID": "0", "GID": "0", "Mode": 292 } }]),
        ),
        (
            "/TaskTemplate/ContainerSpec/Configs",
            json!([{ "ConfigName": "wiki_run_v1", "File": { "Name": "/run.sh" } }]),
        ),
        ("/TaskTemplate/RestartPolicy", json!({ "Condition": "on-failure", "Delay": 5 })),
        ("/TaskTemplate/RestartPolicy", json!({})),
        ("/TaskTemplate/LogDriver", json!({})),
        ("/TaskTemplate/Resources", json!({ "Limits": { "MemoryBytes": 1024 } })),
        ("/TaskTemplate/Placement", json!({ "Constraints": ["node.role == manager"] })),
        ("/EndpointSpec", json!({ "Mode": "dnsrr" })),
        (
            "/EndpointSpec",
            json!({ "Ports": [{ "TargetPort": 80, "PublishedPort": 8080 }, { "Protocol": "udp", "TargetPort": 80 }] }),
        ),
        ("/UpdateConfig", json!({ "Parallelism": 1, "Order": "start-first", "MaxFailureRatio": 0.1 })),
        ("/RollbackConfig", json!({ "Parallelism": 0 })),
        ("/Mode", json!({ "Global": {} })),
        ("/Mode", json!({ "Replicated": {} })),
        ("/Mode", json!({ "Replicated": { "Replicas": 0 } })),
        ("/Labels/traefik.http.routers.wiki.tls.certresolver", json!("")),
    ];
    let most = all.len();
    proptest::sample::subsequence(all, 0..=most)
}

proptest! {
    #[test]
    fn what_the_engine_took_faithfully_is_never_written_again(parts in proptest::collection::vec(parts(), 1..4)) {
        let mut wanted = desired().config("run", "x").secret("db", SecretSource::Generated(Rule::default()));
        for (index, parts) in parts.into_iter().enumerate() {
            let spec = parts.into_iter().fold(spec(&format!("s{index}"), "wiki:1"), |spec, (at, value)| with(spec, at, value));
            wanted = wanted.service(spec);
        }
        let plan = plan(&observed(&wanted), &wanted).unwrap();
        prop_assert!(plan.is_empty(), "{}", plan);
    }

    #[test]
    fn what_a_plan_sends_makes_the_next_plan_empty(before in parts(), after in parts()) {
        let stack = |parts: Vec<(&'static str, Value)>| {
            let spec = parts.into_iter().fold(spec("app", "wiki:1"), |spec, (at, value)| with(spec, at, value));
            desired().config("run", "x").secret("db", SecretSource::Generated(Rule::default())).service(spec)
        };
        let wanted = stack(after);
        let mut live = observed(&stack(before));
        let plan = plan(&live, &wanted).unwrap();
        for change in plan.changes.iter().filter(|c| c.act.verb() != "remove") {
            let service = super::world::live_service(sent(change), &live);
            live.services.insert(change.name.clone(), service);
        }
        let again = super::tests::plan(&live, &wanted).unwrap();
        prop_assert!(again.is_empty(), "{}", again);
    }
}
