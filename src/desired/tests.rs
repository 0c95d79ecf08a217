use super::*;
use crate::recipe::Entry;
use crate::recipe::compose::Source;
use crate::recipe::interpolate::Environment;

/// Stack `st` of one compose file, which must be right. The tree has a file `f`.
pub fn desired(yaml: &str) -> Desired {
    converted(yaml).unwrap_or_else(|errors| panic!("{errors}")).0
}

fn converted(yaml: &str) -> Result<(Desired, Diagnostics), Diagnostics> {
    let tree = Tree { entries: [("f".to_owned(), Entry::File(b"body".to_vec()))].into() };
    let source = Source { file: "compose.yml".into(), text: yaml.to_owned() };
    from_files(&[source], &Environment::new(), &"st".parse().unwrap(), &tree, None)
}

fn container(desired: &Desired) -> &Value {
    &desired.services[0].spec["TaskTemplate"]["ContainerSpec"]
}

#[test]
fn service_level_tmpfs_becomes_a_mount() {
    let yaml = "services: {app: {image: a, tmpfs: ['/tmp:size=64M,mode=1777', /run, '/bad:size=1M^']}}";
    let (desired, warnings) = converted(yaml).unwrap();
    let mounts = json!([
        { "Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": { "SizeBytes": 67108864, "Mode": 1023 } },
        { "Type": "tmpfs", "Target": "/run" },
        { "Type": "tmpfs", "Target": "/bad" },
    ]);
    assert_eq!(container(&desired)["Mounts"], mounts);
    assert!(warnings.to_string().contains("\"size=1M^\" is left out"), "{warnings}");
}

#[test]
fn a_tmpfs_of_an_overlay_replaces_that_of_the_recipe_at_the_same_target() {
    let yaml = "services: {app: {image: a, tmpfs: ['/tmp:size=1M', /run, '/tmp:size=2M']}}";
    let (desired, _) = converted(yaml).unwrap();
    let mounts = json!([
        { "Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": { "SizeBytes": 2097152 } },
        { "Type": "tmpfs", "Target": "/run" },
    ]);
    assert_eq!(container(&desired)["Mounts"], mounts);
}

#[test]
fn everything_undefined_is_told_at_once() {
    let yaml = "services: {app: {image: a, secrets: [s], configs: [c], networks: [n], volumes: ['vol:/v']}, b: {}}";
    let errors = converted(yaml).unwrap_err().to_string();
    for expected in [
        "undefined secret \"s\"",
        "undefined config \"c\"",
        "undefined network \"n\"",
        "undefined volume \"vol\"",
        "invalid image reference for service b",
    ] {
        assert!(errors.contains(expected), "{expected} is not in {errors}");
    }
}

#[test]
fn names_that_the_engine_refuses_are_refused_first() {
    let long = "x".repeat(61);
    let errors = converted(&format!("services: {{{long}: {{image: a}}}}")).unwrap_err().to_string();
    assert!(errors.contains("64 characters, and 63 are allowed"), "{errors}");
    let long = "x".repeat(65);
    for kind in ["secrets", "configs"] {
        let yaml = format!("services: {{app: {{image: a}}}}\n{kind}: {{s: {{file: f, name: {long}}}}}");
        let errors = converted(&yaml).unwrap_err().to_string();
        assert!(errors.contains("65 characters, and 64 are allowed"), "{errors}");
    }
}

#[test]
fn a_relative_bind_has_no_place_without_a_folder() {
    let errors = converted("services: {app: {image: a, volumes: ['./x:/x']}}").unwrap_err().to_string();
    assert!(errors.contains("use an absolute path, or a config"), "{errors}");
}

#[test]
fn named_volumes_of_services_are_known() {
    let yaml = "services: {app: {image: a, volumes: ['data:/d', 'ext:/e', '/anon', '/host:/h']}}\n\
                volumes: {data: , ext: {external: true}, unused: }";
    assert_eq!(volumes(&desired(yaml)), ["ext", "st_data"].map(str::to_owned).into());
}

#[test]
fn the_digest_changes_with_what_runs_and_not_with_secret_bytes() {
    let revision = |version: &str| Revision {
        version: Some(version.into()),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
    };
    let base = desired("services: {app: {image: a}}\nsecrets: {s: {file: f}}");
    let key = digest(&base, &revision("1.0.0+1"));
    let mut other = base.clone();
    other.secrets[0].source = SecretSource::Bytes(SecretBytes::new(b"other".to_vec()));
    assert_eq!(digest(&other, &revision("1.0.0+1")), key);
    assert_ne!(digest(&base, &revision("1.0.0+2")), key);
    assert_ne!(digest(&desired("services: {app: {image: b}}\nsecrets: {s: {file: f}}"), &revision("1.0.0+1")), key);
}
