//! What the containers of this node mount of it, whosever they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{SERVICE_NAME, Swarm, views};
use crate::host::engine::EngineError;
use crate::model::observed::{Mounted, Mounting, Service, Volume};

/// From this API on (Docker 25), a read-only bind is read-only with all that is mounted below it.
const READ_ONLY_ALL_THE_WAY_DOWN: (u32, u32) = (1, 44);

impl Swarm {
    /// Every container on this node, exited ones too, with the paths that it mounts, symlinks resolved. A path that does
    /// not exist is given as it was named.
    pub async fn mountings(&self) -> Result<Vec<Mounting>, EngineError> {
        let about = |e: EngineError| e.during("look at what containers mount");
        let looked = tokio::try_join!(self.engine.get("/containers/json", &[("all", "1")]), self.volumes());
        let (list, volumes) = looked.map_err(about)?;
        let mut mountings: Vec<Mounting> =
            list.as_array().into_iter().flatten().filter_map(|body| mounting(body, &volumes)).collect();
        let all_the_way_down = self.engine.api() >= READ_ONLY_ALL_THE_WAY_DOWN;
        for mounted in mountings.iter_mut().flat_map(|mounting| &mut mounting.mounts) {
            mounted.source = resolved(&mounted.source).await;
            mounted.only_reads &= all_the_way_down || is_one_file_system(&mounted.source, &volumes).await;
        }
        Ok(mountings)
    }

    /// Every volume of this node, by name.
    pub async fn volumes(&self) -> Result<BTreeMap<String, Volume>, EngineError> {
        let list = self.engine.get("/volumes", &[]).await.map_err(|e| e.during("look at the volumes"))?;
        let volumes = list["Volumes"].as_array().into_iter().flatten().filter_map(views::volume);
        Ok(volumes.map(|volume| (volume.name.clone(), volume)).collect())
    }

    /// Every service of the Swarm, also of other stacks and of none.
    pub async fn all_services(&self) -> Result<Vec<Service>, EngineError> {
        let list = self.engine.get("/services", &[]).await.map_err(|e| e.during("look at the Swarm's services"))?;
        Ok(list.as_array().into_iter().flatten().filter_map(views::service).collect())
    }
}

/// A path with its symlinks resolved, as far as there is one.
pub async fn resolved(path: &Path) -> PathBuf {
    tokio::fs::canonicalize(path).await.unwrap_or_else(|_| path.to_owned())
}

fn mounting(body: &Value, volumes: &BTreeMap<String, Volume>) -> Option<Mounting> {
    let names = body["Names"].as_array().into_iter().flatten();
    let name = names.filter_map(Value::as_str).map(|name| name.trim_start_matches('/')).find(|name| !name.is_empty());
    let mounts = body["Mounts"].as_array().into_iter().flatten();
    Some(Mounting {
        id: views::text(&body["Id"])?,
        name: name.unwrap_or_default().to_owned(),
        state: views::text(&body["State"]).unwrap_or_default(),
        service: views::text(&body["Labels"][SERVICE_NAME]),
        mounts: mounts.filter(|mount| mount["Type"] != "tmpfs").map(|mount| mounted(mount, volumes)).collect(),
    })
}

fn mounted(mount: &Value, volumes: &BTreeMap<String, Volume>) -> Mounted {
    let volume = views::text(&mount["Name"]).filter(|name| mount["Type"] == "volume" && !name.is_empty());
    let known = volume.as_ref().and_then(|name| volumes.get(name));
    let source = match known {
        Some(volume) => stands_for(volume).unwrap_or(&volume.mountpoint).to_owned(),
        None => views::text(&mount["Source"]).unwrap_or_default().into(),
    };
    let only_reads = volume.is_none() && mount["RW"] == false;
    Mounted { volume, source, only_reads }
}

/// Whether every volume below a folder lies on the folder's own file system: what is mounted below a read-only bind can
/// be written to on older Engines.
async fn is_one_file_system(folder: &Path, volumes: &BTreeMap<String, Volume>) -> bool {
    let Some(own) = file_system(folder).await else { return false };
    for volume in volumes.values() {
        let place = resolved(&volume.mountpoint).await;
        if place.starts_with(folder) && file_system(&place).await.is_some_and(|other| other != own) {
            return false;
        }
    }
    true
}

async fn file_system(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    tokio::fs::metadata(path).await.ok().map(|found| found.dev())
}

/// The path that a volume stands for by its options (`o = bind`), in place of a folder of its own.
fn stands_for(volume: &Volume) -> Option<&Path> {
    let binds = volume.options.get("o")?.split(',').any(|option| matches!(option.trim(), "bind" | "rbind"));
    volume.options.get("device").filter(|_| binds).map(Path::new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_that_stands_for_another_path_is_that_path() {
        let volume = |name: &str, options: Value| {
            let body =
                json!({"Name": name, "Driver": "local", "Mountpoint": format!("/v/{name}/_data"), "Options": options});
            (name.to_owned(), views::volume(&body).unwrap())
        };
        let volumes = BTreeMap::from([
            volume("plain", json!({})),
            volume("bound", json!({"type": "none", "o": "ro,bind", "device": "/srv/wiki"})),
            volume("nfs", json!({"type": "nfs", "o": "addr=10.0.0.1", "device": ":/export"})),
        ]);
        let body = json!({"Id": "c", "Names": ["/one"], "State": "created", "Labels": {}, "Mounts": [
            {"Type": "volume", "Name": "plain", "Source": ""}, {"Type": "volume", "Name": "bound"},
            {"Type": "volume", "Name": "nfs", "RW": false}, {"Type": "bind", "Source": "/var", "RW": true},
            {"Type": "tmpfs", "Source": ""}, {"Type": "bind", "Source": "/", "RW": false},
        ]});

        let mounting = mounting(&body, &volumes).unwrap();

        let sources: Vec<_> = mounting.mounts.iter().map(|mount| mount.source.to_str().unwrap()).collect();
        assert_eq!(sources, ["/v/plain/_data", "/srv/wiki", "/v/nfs/_data", "/var", "/"]);
        let only_reads: Vec<_> = mounting.mounts.iter().map(|mount| mount.only_reads).collect();
        assert_eq!(only_reads, [false, false, false, false, true]);
        assert_eq!((mounting.name.as_str(), mounting.service), ("one", None));
    }

    #[tokio::test]
    async fn a_read_only_folder_with_a_volume_on_another_file_system_below_is_not_called_read_only() {
        let volume = |place: &Path| {
            let body = json!({"Name": "v", "Driver": "local", "Mountpoint": place});
            BTreeMap::from([("v".to_owned(), views::volume(&body).unwrap())])
        };
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let data = root.join("v/_data");
        std::fs::create_dir_all(&data).unwrap();
        assert!(is_one_file_system(&root, &volume(&data)).await);
        assert!(!is_one_file_system(Path::new("/"), &volume(Path::new("/proc/self"))).await);
        assert!(is_one_file_system(&root, &volume(Path::new("/proc/self"))).await);
        assert!(!is_one_file_system(&root.join("gone"), &volume(&data)).await);
    }
}
