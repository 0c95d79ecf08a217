//! Files with everything wrong: all of it is told in one go, and nothing that only follows from it.

use super::*;
use crate::recipe::Entry;

const BASE: &str = r#"version: "3.3"
services:
  app:
    imag: demo
    init: true
    tty: "yes"
    ports:
      - 80:80:80:80
      - "8080:80"
      - {target: 70000}
    volumes: [data:/data, lost:/lost, "d:/one"]
    secrets: [token, nowhere]
    environment:
      MODE: 0444
      READY: true
    deploy:
      replicas: "2"
      resources: {limits: {memory: 1 heap, cpus: 0.5}}
  db:
    image: Demo:1
    container_name: db
    stop_grace_period: 10
    dns: [1.1.1.1, 1.1.1.1]
    volumes: [data:/data]
    networks: [inner, outer]
  old:
    image: demo
    extends: {service: app}
    command: "echo 'open"
    depends_on: {db: {condition: service_healthy}}
networks:
  inner: {attachable: yes}
volumes:
  data: {driver_option: 5}
"#;

const OVER: &str = r#"version: "3.8"
services:
  app:
    environment: [A=$NOPE-suffix]
    hostname: "${"
    healthcheck: {test: ping, interval: ten}
    ulimits: {nofile: {soft: 1024}}
  db:
    env_file: missing.env
    deploy:
      mode: everywhere
      update_config: {order: fastest, parallelism: -1}
  "in valid": {image: demo}
secrets:
  token: {external: true, fil: x}
  body: {file: ./gone}
configs: [a]
"#;

const MORE: &str = r#"services:
  db:
    deploy: {replicas: "${COUNT:-two}"}
    tmpfs: /run
    configs: [undefined-but-perhaps-in-the-broken-section]
volume: {}
"#;

fn told(texts: &[(&str, &str)]) -> String {
    let source = |(file, text): &(&str, &str)| Source { file: (*file).into(), text: (*text).to_owned() };
    let sources: Vec<Source> = texts.iter().map(source).collect();
    let tree = Tree { entries: [("f".to_owned(), Entry::File(Vec::new()))].into() };
    let read = from_files(&sources, &Environment::new(), &"st".parse().unwrap(), &tree, None);
    read.map(|(_, warnings)| warnings).unwrap_or_else(|errors| errors).to_string()
}

#[test]
fn everything_that_is_wrong_in_three_files_is_told_at_once_with_its_place() {
    insta::assert_snapshot!(told(&[("compose.yml", BASE), ("compose.over.yml", OVER), ("/etc/more.yml", MORE)]));
}

/// A section that is readable lets references be judged.
#[test]
fn what_cannot_be_sent_is_told_with_what_cannot_be_read() {
    let text = "services:\n  app: {image: a, imag: b, secrets: [s, t], ports: [x]}\n  db: {volumes: ['v:/x/y', 'vol:/z']}\n\
                volumes: {vol: {foo: 1}}\nsecrets: {s: {fil: x}}\n";
    insta::assert_snapshot!(told(&[("compose.yml", text)]));
}

#[test]
fn a_file_that_cannot_be_read_makes_nothing_undefined() {
    let text = "services: {app: {image: a, networks: [n], volumes: ['vol:/x'], secrets: [s], foo: 1}}";
    let told = told(&[("compose.yml", text), ("compose.over.yml", "volumes: {vol: [")]);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("services.app has no key \"foo\"") && told.contains("compose.over.yml:2:1"), "{told}");
}
