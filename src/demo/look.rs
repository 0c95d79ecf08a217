//! What the demo does to its Engine beside the program's commands: loads the image, looks, and meddles by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::image::Contents;
use crate::host::engine::{Engine, segment};

/// `Version.Index` of every service by name: it rises with every write, and never otherwise.
pub type Indexes = BTreeMap<String, u64>;

/// Makes `repository:tag` out of an image's contents.
pub async fn load_image(socket: &Path, contents: &Contents, repository: &str, tag: &str) -> Result<()> {
    let changes = contents.changes(tag);
    let mut query = vec![("fromSrc", "-"), ("repo", repository), ("tag", tag)];
    query.extend(changes.iter().map(|change| ("changes", change.as_str())));
    let client = reqwest::Client::builder().unix_socket(socket).no_proxy().tls_certs_only([]).http1_only().build()?;
    let answer = client
        .post("http://engine/images/create")
        .query(&query)
        .header("content-type", "application/x-tar")
        .body(contents.tar()?)
        .send()
        .await
        .context("send the image to the Engine")?;
    let (status, words) = (answer.status(), answer.text().await.context("read the Engine's answer")?);
    // The Engine reports what goes wrong after the first byte in a body of status 200.
    ensure!(status.is_success() && !words.contains("\"error\""), "the Engine refused the image: {}", words.trim());
    Ok(())
}

/// The services of a stack, or of all for `None`.
pub async fn indexes(engine: &Engine, stack: Option<&str>) -> Result<Indexes> {
    let services = engine.get("/services", &[]).await.context("list the services")?;
    let of_stack = |service: &&Value| {
        stack.is_none_or(|stack| service["Spec"]["Labels"]["com.docker.stack.namespace"].as_str() == Some(stack))
    };
    let index = |service: &Value| {
        let name = service["Spec"]["Name"].as_str().context("a service without a name")?;
        let index = service["Version"]["Index"].as_u64().context("a service without a version")?;
        Ok((name.to_owned(), index))
    };
    services.as_array().context("the services are no list")?.iter().filter(of_stack).map(index).collect()
}

/// How many replicas a service asks for.
pub async fn replicas(engine: &Engine, service: &str) -> Result<u64> {
    let found = inspect(engine, service).await?;
    found["Spec"]["Mode"]["Replicated"]["Replicas"].as_u64().with_context(|| format!("{service} has no replicas"))
}

/// Scales a service, as `docker service scale` does.
pub async fn scale(engine: &Engine, service: &str, replicas: u64) -> Result<()> {
    let found = inspect(engine, service).await?;
    let mut spec = found["Spec"].clone();
    spec["Mode"] = json!({ "Replicated": { "Replicas": replicas } });
    let index = found["Version"]["Index"].to_string();
    engine
        .post(&format!("/services/{}/update", segment(service)), &[("version", &index)], &spec)
        .await
        .with_context(|| format!("scale {service}"))?;
    Ok(())
}

/// Removes a service, as `docker service rm` does.
pub async fn remove(engine: &Engine, service: &str) -> Result<()> {
    let path = format!("/services/{}", segment(service));
    engine.delete(&path, &[]).await.with_context(|| format!("remove {service}"))
}

/// The folder of a volume's files.
pub async fn volume(engine: &Engine, name: &str) -> Result<PathBuf> {
    let path = format!("/volumes/{}", segment(name));
    let found = engine.get(&path, &[]).await.with_context(|| format!("inspect the volume {name}"))?;
    Ok(found["Mountpoint"].as_str().with_context(|| format!("the volume {name} lies nowhere"))?.into())
}

/// What the running containers of a service say that they are: the `VERSION` of each one's image.
pub async fn versions(engine: &Engine, service: &str) -> Result<Vec<String>> {
    let filters = json!({ "label": [format!("com.docker.swarm.service.name={service}")], "status": ["running"] });
    let containers = engine.get("/containers/json", &[("filters", &filters.to_string())]).await?;
    let mut versions = Vec::new();
    for container in containers.as_array().context("the containers are no list")? {
        let id = container["Id"].as_str().context("a container without an id")?;
        let found = engine.get(&format!("/containers/{id}/json"), &[]).await?;
        let variables = found["Config"]["Env"].as_array().context("a container without an environment")?;
        versions.extend(variables.iter().find_map(|entry| entry.as_str()?.strip_prefix("VERSION=").map(str::to_owned)));
    }
    Ok(versions)
}

async fn inspect(engine: &Engine, service: &str) -> Result<Value> {
    let path = format!("/services/{}", segment(service));
    engine.get(&path, &[]).await.with_context(|| format!("inspect {service}"))
}
