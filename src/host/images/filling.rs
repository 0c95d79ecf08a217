//! Whether what a pull will still write fits on Docker's disk, looked at while it runs.
//!
//! How large a layer is, the Engine tells once it fetches it. Asking the registry itself beforehand would cost a second
//! pull: Docker Hub counts questions for manifests. The surprise: an Engine that runs out of room in a pull takes the last
//! bytes from every app first, so the pull is broken off before that, and the Engine removes what it had of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use serde_json::Value;

/// What a byte of a compressed layer becomes on disk; most layers are below that.
const UNPACKED: u64 = 3;
/// What a pull leaves free on any disk, and of a small one a share.
const FLOOR: u64 = 1 << 30;
const SHARE: u64 = 50;
/// Of the inodes.
const SHARE_OF_INODES: u64 = 100;

/// Where an Engine keeps images, and how many bytes have to stay free there for what comes after a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    pub root: PathBuf,
    pub reserve: u64,
}

/// A pull that would fill the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoom {
    root: PathBuf,
    to_come: u64,
    reserve: u64,
    disk: Disk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Disk {
    size: u64,
    free: u64,
    /// All and free ones; `None` where the file system makes as many as it likes.
    inodes: Option<(u64, u64)>,
}

/// The layers of a pull under way, as far as the Engine has told.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<String, Layer>);

#[derive(Debug, Default)]
struct Layer {
    compressed: u64,
    fetched: u64,
    unpacked: u64,
}

impl Layers {
    /// Takes in a line of a pull. Layers that are here already are never measured.
    pub(super) fn learn(&mut self, line: &Value) {
        let (Some(id), Some(status)) = (line["id"].as_str(), line["status"].as_str()) else { return };
        let of = |key: &str| line["progressDetail"][key].as_u64();
        if status == "Pull complete" {
            self.0.remove(id);
            return;
        }
        let layer = match of("total") {
            Some(total) => {
                let layer = self.0.entry(id.to_owned()).or_default();
                layer.compressed = layer.compressed.max(total);
                layer
            }
            None => match self.0.get_mut(id) {
                Some(layer) => layer,
                None => return,
            },
        };
        match status {
            "Downloading" => layer.fetched = of("current").unwrap_or_default(),
            "Extracting" => {
                layer.fetched = layer.compressed;
                layer.unpacked = of("current").unwrap_or_default();
            }
            "Download complete" | "Verifying Checksum" => layer.fetched = layer.compressed,
            _ => {}
        }
    }

    /// Bytes that are yet to be written.
    fn to_come(&self) -> u64 {
        let of = |layer: &Layer| {
            let unpacked = layer.compressed.saturating_sub(layer.unpacked).saturating_mul(UNPACKED);
            layer.compressed.saturating_sub(layer.fetched).saturating_add(unpacked)
        };
        self.0.values().map(of).fold(0, u64::saturating_add)
    }
}

impl Bounds {
    /// Why a pull with these layers has to end, if it has to. A disk that cannot be looked at from here is not judged.
    pub(super) fn broken_by(&self, layers: &Layers) -> Option<NoRoom> {
        self.judged(layers.to_come(), disk(&self.root)?)
    }

    fn judged(&self, to_come: u64, disk: Disk) -> Option<NoRoom> {
        let told = NoRoom { root: self.root.clone(), to_come, reserve: self.reserve, disk };
        let fits = disk.free >= told.needed() && disk.inodes.is_none_or(|(all, free)| free >= all / SHARE_OF_INODES);
        (!fits).then_some(told)
    }
}

impl NoRoom {
    fn needed(&self) -> u64 {
        let floor = FLOOR.min(self.disk.size / SHARE);
        self.to_come.saturating_add(self.to_come / 10).saturating_add(self.reserve).saturating_add(floor)
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disk, .. } = self;
        if disk.free < self.needed() {
            write!(f, "{} MiB are needed and {} MiB are free", self.needed() >> 20, disk.free >> 20)?;
        } else if let Some((all, free)) = disk.inodes {
            write!(f, "{free} of {all} inodes are free")?;
        }
        write!(f, ", where {} lies", self.root.display())?;
        let parts = [(self.to_come, "for its layers"), (self.reserve, "for a snapshot and the way back")];
        let told = parts.iter().filter(|(bytes, _)| *bytes > 0);
        let told: Vec<String> = told.map(|(bytes, what)| format!("{} MiB {what}", bytes >> 20)).collect();
        if told.is_empty() { Ok(()) } else { write!(f, " ({})", told.join(", ")) }
    }
}

fn disk(root: &Path) -> Option<Disk> {
    let room = statvfs(root).ok()?;
    Some(Disk {
        size: room.f_blocks.saturating_mul(room.f_frsize),
        free: room.f_bavail.saturating_mul(room.f_frsize),
        inodes: Some((room.f_files, room.f_favail)).filter(|(all, _)| *all > 0),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    fn layers(lines: &[Value]) -> Layers {
        let mut layers = Layers::default();
        lines.iter().for_each(|line| layers.learn(line));
        layers
    }

    fn line(id: &str, status: &str, progress: Option<(u64, u64)>) -> Value {
        let detail = progress.map_or(json!({}), |(current, total)| json!({"current": current, "total": total}));
        json!({"id": id, "status": status, "progressDetail": detail})
    }

    #[test]
    fn what_is_to_come_shrinks_as_layers_are_fetched_and_unpacked() {
        let mut lines = vec![
            json!({"status": "Pulling from library/app", "id": "1"}),
            line("a", "Already exists", None),
            line("b", "Pulling fs layer", None),
        ];
        let mut to_come = |more: Value| {
            lines.push(more);
            layers(&lines).to_come()
        };
        assert_eq!(to_come(line("b", "Downloading", Some((10, 100)))), 390);
        assert_eq!(to_come(line("b", "Download complete", None)), 300);
        assert_eq!(to_come(line("c", "Downloading", Some((0, 50)))), 500);
        assert_eq!(to_come(line("b", "Extracting", Some((60, 100)))), 320);
        assert_eq!(to_come(line("b", "Pull complete", None)), 200);
        assert_eq!(to_come(json!({"status": "Digest: sha256:00"})), 200);
    }

    #[test]
    fn sizes_that_nobody_told_and_endless_ones_are_no_reason_to_fall_over() {
        let lines = [
            json!({"id": "a", "status": "Downloading", "progressDetail": {"current": 5, "total": -1}}),
            line("b", "Downloading", Some((u64::MAX, u64::MAX))),
            line("c", "Extracting", Some((7, 5))),
        ];
        assert_eq!(layers(&lines[..1]).to_come(), 0);
        assert_eq!(layers(&lines).to_come(), u64::MAX);
    }

    #[test]
    fn a_pull_leaves_the_reserve_and_a_floor_free() {
        let bounds = Bounds { root: "/docker".into(), reserve: 4 * GIB };
        let judged = |free| bounds.judged(10 * GIB, Disk { size: 100 * GIB, free, inodes: None });
        assert_eq!(judged(16 * GIB), None);
        let told = judged(16 * GIB - 1).unwrap().to_string();
        let words = "16384 MiB are needed and 16383 MiB are free, where /docker lies (10240 MiB for its layers, 4096 MiB for a \
                     snapshot and the way back)";
        assert_eq!(told, words);
    }

    #[test]
    fn of_a_small_disk_a_share_stays_free_and_inodes_count() {
        let bounds = Bounds { root: "/docker".into(), reserve: 0 };
        let judged = |free, inodes| bounds.judged(0, Disk { size: GIB, free, inodes });
        assert_eq!(judged(21 * MIB, None), None);
        assert!(judged(20 * MIB, None).is_some());
        assert_eq!(judged(GIB, Some((1000, 10))), None);
        let told = judged(GIB, Some((1000, 9))).unwrap().to_string();
        assert_eq!(told, "9 of 1000 inodes are free, where /docker lies");
    }
}
