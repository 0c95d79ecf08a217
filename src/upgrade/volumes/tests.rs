use serde_json::json;

use super::*;

fn spec(mounts: Value) -> Value {
    json!({"TaskTemplate": {"ContainerSpec": {"Mounts": mounts}}})
}

fn mounts(volume: &str) -> Value {
    spec(json!([{"Type": "volume", "Source": volume, "Target": "/data"}]))
}

fn service(name: &str, spec: Value) -> Service {
    let name = name.to_owned();
    Service { id: name.clone(), name, index: 1, spec, previous_spec: None, update: None, endpoint_ports: vec![] }
}

fn volume(name: &str) -> (String, Live) {
    let mountpoint = format!("/v/{name}/_data").into();
    let live = Live {
        name: name.to_owned(),
        driver: "local".into(),
        mountpoint,
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
    };
    (name.to_owned(), live)
}

fn container(name: &str, state: &str, volume: Option<&str>, source: &str) -> Mounting {
    let mounts = vec![Mounted { volume: volume.map(str::to_owned), source: source.into(), only_reads: false }];
    Mounting { id: name.to_owned(), name: name.to_owned(), state: state.to_owned(), service: None, mounts }
}

/// A stack `wiki` with one service, and what a test changes of it.
struct Scene {
    specs: Vec<Value>,
    services: Vec<Service>,
    containers: Vec<Mounting>,
    volumes: BTreeMap<String, Live>,
    left_out: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let services = vec![service("wiki_app", mounts("wiki_data"))];
        let volumes = BTreeMap::from([volume("wiki_data")]);
        Self { specs: vec![mounts("wiki_data")], services, containers: vec![], volumes, left_out: vec![] }
    }

    fn set(&self) -> Result<BTreeMap<String, Volume>, Vec<String>> {
        let specs: Vec<&Value> = self.specs.iter().collect();
        volume_set(&World {
            stack: &"wiki".parse().unwrap(),
            specs: &specs,
            services: &self.services,
            own: &["wiki_app".to_owned()].into(),
            containers: &self.containers,
            volumes: &self.volumes,
            left_out: &self.left_out,
            without_data: &["/var/run/docker.sock".to_owned()].into(),
        })
    }

    fn names(&self) -> Vec<String> {
        self.set().unwrap().into_keys().collect()
    }
}

#[test]
fn the_set_is_what_is_named_what_lives_what_is_mounted_and_what_is_labelled() {
    let mut scene = Scene::new();
    scene.specs.push(mounts("wiki_new"));
    scene.services[0].spec = mounts("wiki_live");
    let mut mounted = container("one", "running", Some("by_hand"), "/v/by_hand/_data");
    mounted.service = Some("wiki_app".into());
    let anonymous = "0123456789abcdef".repeat(4);
    // Made for this container alone, and gone with it.
    mounted.mounts.push(Mounted { volume: Some(anonymous), source: "/v/0/_data".into(), only_reads: false });
    scene.containers = vec![mounted, container("two", "running", Some("others"), "/v/others/_data")];
    for name in ["wiki_live", "by_hand", "others", "labelled"] {
        scene.volumes.extend([volume(name)]);
    }
    scene.volumes.get_mut("labelled").unwrap().labels.insert(NAMESPACE_LABEL.into(), "wiki".into());

    assert_eq!(scene.names(), ["by_hand", "labelled", "wiki_data", "wiki_live", "wiki_new"]);
    let set = scene.set().unwrap();
    assert_eq!(set["wiki_new"], Volume { mountpoint: None, left_out: false });
    assert_eq!(set["wiki_data"].mountpoint, Some("/v/wiki_data/_data".into()));
}

#[test]
fn a_volume_of_another_stack_blocks_also_where_nothing_runs() {
    let mut scene = Scene::new();
    let mut idle = mounts("wiki_data");
    idle["Mode"] = json!({"Replicated": {"Replicas": 0}});
    scene.services.push(service("blog_app", idle));
    let wrong = scene.set().unwrap_err();
    assert!(wrong.len() == 1 && wrong[0].contains("wiki_data") && wrong[0].contains("blog_app"), "{wrong:?}");

    scene.left_out = vec!["data".into()];
    assert!(scene.set().unwrap()["wiki_data"].left_out);
}

#[test]
fn what_cannot_come_back_as_it_was_blocks_unless_it_is_left_out() {
    let binds = |source: &str, read_only: bool| {
        spec(json!([{"Type": "bind", "Source": source, "Target": "/x", "ReadOnly": read_only}]))
    };
    let mut scene = Scene::new();
    scene.specs = vec![binds("/srv/data", false), binds("/etc/app", true), binds("/var/run/docker.sock", false)];
    scene.specs.extend([mounts("wiki_data"), mounts("wiki_nfs"), mounts("wiki_far")]);
    scene.volumes.extend([volume("wiki_nfs"), volume("wiki_far")]);
    scene.volumes.get_mut("wiki_nfs").unwrap().options.insert("type".into(), "nfs".into());
    scene.volumes.get_mut("wiki_far").unwrap().driver = "rexray".into();

    let wrong = scene.set().unwrap_err();
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    for (told, what) in wrong.iter().zip(["/srv/data", "wiki_far", "wiki_nfs"]) {
        assert!(told.contains(what) && told.contains("snapshot.exclude"), "{told}");
    }
    let mut comes = mounts("wiki_bound");
    comes["TaskTemplate"]["ContainerSpec"]["Mounts"][0]["VolumeOptions"] =
        json!({"DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/srv/x"}}});
    scene.specs.push(comes);
    let wrong = scene.set().unwrap_err();
    assert!(wrong.len() == 4 && wrong[1].contains("wiki_bound") && wrong[1].contains("device=/srv/x"), "{wrong:?}");
    scene.specs.pop();
    scene.left_out = ["/srv/data", "wiki_far", "nfs"].map(str::to_owned).to_vec();
    assert_eq!(scene.names(), ["wiki_data", "wiki_far", "wiki_nfs"]);
}

#[test]
fn whoever_mounts_the_volume_or_a_path_above_or_below_it_holds_it() {
    let volumes = BTreeMap::from([("wiki_data".to_owned(), "/v/wiki_data/_data".into())]);
    let rows = [
        (container("c", "running", Some("wiki_data"), ""), true),
        (container("c", "created", Some("wiki_data"), ""), true),
        (container("c", "paused", None, "/v"), true),
        (container("c", "restarting", None, "/v/wiki_data/_data/uploads"), true),
        (container("c", "running", None, "/"), true),
        (container("c", "exited", Some("wiki_data"), ""), false),
        (container("c", "running", Some("wiki_data2"), "/v/wiki_data2/_data"), false),
        (container("c", "running", None, "/v/wiki_data/_data2"), false),
        (container("c", "running", None, "/srv"), false),
    ];
    for (container, is_held) in rows {
        let told = holders(std::slice::from_ref(&container), &volumes);
        assert_eq!(!told.is_empty(), is_held, "{container:?}: {told:?}");
        assert!(told.iter().all(|told| told.contains("container c ") && told.contains("wiki_data")), "{told:?}");
    }
}

#[test]
fn a_monitor_that_can_only_read_the_host_holds_no_volume() {
    let volumes = BTreeMap::from([("wiki_data".to_owned(), "/v/wiki_data/_data".into())]);
    let only_reads = |volume, source| {
        let mut container = container("monitor", "running", volume, source);
        container.mounts[0].only_reads = true;
        holders(&[container], &volumes)
    };
    for above in ["/", "/v", "/v/wiki_data"] {
        assert_eq!(only_reads(None, above), [] as [&str; 0], "{above}");
    }
    // The folder that is to be exchanged, or something in it.
    for held in ["/v/wiki_data/_data", "/v/wiki_data/_data/uploads"] {
        assert_eq!(only_reads(None, held).len(), 1, "{held}");
    }
    assert_eq!(only_reads(Some("wiki_data"), "/v/wiki_data/_data").len(), 1);
}

#[test]
fn a_second_mount_that_can_write_is_found_behind_one_that_cannot() {
    let volumes = BTreeMap::from([("wiki_data".to_owned(), "/v/wiki_data/_data".into())]);
    let mut two = container("monitor", "running", None, "/");
    two.mounts[0].only_reads = true;
    two.mounts.push(Mounted { volume: None, source: "/v".into(), only_reads: false });
    assert_eq!(holders(&[two], &volumes).len(), 1);
}

#[test]
fn every_write_since_the_indexes_were_read_is_told() {
    let indexes = |list: &[(&str, u64)]| list.iter().map(|(name, index)| ((*name).to_owned(), *index)).collect();
    let read: BTreeMap<String, u64> = indexes(&[("a", 1), ("b", 2)]);
    assert_eq!(written_since(&read, &read), None);
    let told = written_since(&read, &indexes(&[("a", 3), ("c", 4)])).unwrap();
    assert!(told.ends_with("service a was written, service b was removed, service c was added"), "{told}");
}
