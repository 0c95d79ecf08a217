//! Whether a file system has become too full, told once per crossing.
//!
//! What was told is told again only after it fell well below the watermark: a disk that goes up and down by a few per
//! cent each day crosses it once. The surprise: what is told belongs to a place, not to a file system. When another disk is
//! mounted at a place, or two of them are parted, nobody is told of the same thing twice; what has another path is another
//! place. Whoever raises the watermark says that what was told is no news any more: to come to the higher one is another
//! crossing.

use jiff::Timestamp;

use crate::model::alert::{Alert, Reason};
use crate::model::disk::{Disk, Disks, Measure, Place, Role, Share, Told, Usage};

/// So many per cent below the watermark a crossing is over.
const WELL_BELOW: u8 = 5;

/// One that is at its watermark or above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowDisk {
    pub disk: Disk,
    pub measure: Measure,
    share: Share,
    watermark: u8,
}

/// All that is at the watermark or above, told or not.
pub fn low_disks(seen: &[Disk], watermark: u8) -> Vec<LowDisk> {
    let all = seen.iter().flat_map(|disk| Measure::ALL.into_iter().map(move |measure| (disk, measure)));
    let shares = all.filter_map(|(disk, measure)| Some((disk, measure, disk.share(measure)?)));
    let low = shares.filter(|(_, _, share)| share.percent() >= watermark);
    low.map(|(disk, measure, share)| LowDisk { disk: disk.clone(), measure, share, watermark }).collect()
}

/// What is known now, and what has crossed the watermark since it was looked at last. What could not be looked at stays
/// as it is known.
pub fn crossed(known: &Disks, seen: &[Disk], watermark: u8, now: Timestamp) -> (Disks, Vec<LowDisk>) {
    let mut known = known.clone();
    for (place, key) in seen.iter().flat_map(every_key) {
        if known.told.get(&key).and_then(|told| told.path.as_ref()).is_some_and(|path| *path != place.path) {
            known.told.remove(&key);
        }
    }
    for disk in seen {
        let over = Measure::ALL.into_iter().filter(|measure| is_over(disk.share(*measure), watermark));
        for (_, key) in over.flat_map(|measure| keys(disk, measure)) {
            known.told.remove(&key);
        }
    }
    let reaches = |told: &Told| told.watermark >= watermark;
    let is_told =
        |low: &LowDisk| keys(&low.disk, low.measure).any(|(_, key)| known.told.get(&key).is_some_and(reaches));
    let crossed: Vec<LowDisk> = low_disks(seen, watermark).into_iter().filter(|low| !is_told(low)).collect();
    for low in low_disks(seen, watermark) {
        for (place, key) in keys(&low.disk, low.measure) {
            let new = Told { ts: now, watermark, path: Some(place.path.clone()) };
            let told = known.told.entry(key).or_insert_with(|| new.clone());
            if !reaches(told) {
                *told = new;
            }
        }
    }
    (known, crossed)
}

/// Well below, or without an end by now.
fn is_over(share: Option<Share>, watermark: u8) -> bool {
    let well_below = watermark - WELL_BELOW.min(watermark / 2);
    share.is_none_or(|share| share.percent() < well_below)
}

fn every_key(disk: &Disk) -> impl Iterator<Item = (&Place, String)> {
    Measure::ALL.into_iter().flat_map(move |measure| keys(disk, measure))
}

fn keys(disk: &Disk, measure: Measure) -> impl Iterator<Item = (&Place, String)> {
    disk.places.iter().map(move |place| (place, format!("{}-{}", place.role.word(), measure.word())))
}

impl LowDisk {
    /// Which one, and how full it is.
    pub fn sentence(&self) -> String {
        let places: Vec<String> = self.disk.places.iter().map(ToString::to_string).collect();
        let (places, percent, Share { all, free }) = (places.join(" and of "), self.share.percent(), self.share);
        let how = match self.measure {
            Measure::Bytes => format!("is {percent} % full: {} of {} MiB are free", free >> 20, all >> 20),
            Measure::Inodes => format!("has used {percent} % of its inodes: {free} of {all} are free"),
        };
        format!("the file system of {places} {how} (prune.watermark: {} %)", self.watermark)
    }

    /// A prune removes images, which lie only where Docker keeps them.
    pub fn way_out(&self) -> &'static str {
        if self.disk.has(Role::Docker) { "; `evenkeel prune` makes room" } else { "" }
    }

    /// The alert, with what takes the room there.
    pub fn alert(&self, usage: &Usage, now: Timestamp) -> Alert {
        let places: Vec<&str> = self.disk.places.iter().map(|place| place.role.word()).collect();
        let used = match self.measure {
            Measure::Bytes => used(&self.disk, usage),
            Measure::Inodes => String::new(),
        };
        Alert {
            reason: Reason::DiskLow,
            from_version: None,
            to_version: None,
            release_notes: None,
            ts: now,
            evidence: format!("{}{used}", self.sentence()),
            fact: format!("disk-low:{}:{}:{now}", places.join("+"), self.measure.word()),
        }
    }
}

/// What is known of what takes room on this disk, the largest first.
fn used(disk: &Disk, usage: &Usage) -> String {
    let of_docker = |bytes: Option<u64>| bytes.filter(|_| disk.has(Role::Docker));
    let mut parts = [
        ("images", of_docker(usage.images)),
        ("volumes", of_docker(usage.volumes)),
        ("build cache", of_docker(usage.build_cache)),
        ("snapshots", usage.snapshots.filter(|_| disk.has(Role::State))),
    ];
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let known: Vec<String> = parts
        .iter()
        .filter_map(|(what, bytes)| Some(format!("{what} {} MiB", bytes.filter(|bytes| *bytes > 0)?.div_ceil(1 << 20))))
        .collect();
    if known.is_empty() { String::new() } else { format!("; of that: {}", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATERMARK: u8 = 85;

    fn day(day: i64) -> Timestamp {
        "2026-11-01T05:00:00Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_hours(24 * day)
    }

    fn disk(roles: &[Role], bytes: u64, inodes: Option<u64>) -> Disk {
        let place = |role: &Role| Place { role: *role, path: format!("/{}", role.word()).into() };
        let share = |percent: u64| Share { all: 1000 << 20, free: (1000 - 10 * percent) << 20 };
        Disk { places: roles.iter().map(place).collect(), bytes: Some(share(bytes)), inodes: inodes.map(share) }
    }

    /// What is told of these disks, as facts without their time.
    fn told(known: &mut Disks, seen: &[Disk], on: i64) -> Vec<String> {
        let (after, low) = crossed(known, seen, WATERMARK, day(on));
        *known = after;
        let fact = |low: LowDisk| low.alert(&Usage::default(), day(on)).fact;
        low.into_iter().map(|low| fact(low).split(':').skip(1).take(2).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_crossing_is_told_once_and_again_only_after_it_was_well_below() {
        let mut known = Disks::default();
        let mut on = |day: i64, bytes: u64| told(&mut known, &[disk(&[Role::Docker], bytes, Some(1))], day);
        let once = ["docker bytes"];
        assert_eq!(on(0, 84), [""; 0]);
        assert_eq!(on(1, 85), once, "at the watermark");
        for (day, bytes) in [(2, 85), (3, 99), (4, 84), (5, 80), (6, 85), (7, 100)] {
            assert_eq!(on(day, bytes), [""; 0], "{bytes} % is the same crossing");
        }
        assert_eq!(on(8, 79), [""; 0]);
        assert_eq!(on(9, 84), [""; 0]);
        assert_eq!(on(10, 86), once);
    }

    #[test]
    fn a_prune_is_named_only_for_the_disk_on_which_it_makes_room() {
        let way_out = |roles: &[Role]| low_disks(&[disk(roles, 90, None)], WATERMARK)[0].way_out();
        assert_eq!(way_out(&[Role::State]), "");
        for roles in [&[Role::Docker][..], &[Role::Docker, Role::State]] {
            assert_eq!(way_out(roles), "; `evenkeel prune` makes room");
        }
    }

    #[test]
    fn inodes_are_told_apart_from_bytes_and_an_endless_supply_is_never_low() {
        let mut known = Disks::default();
        assert_eq!(told(&mut known, &[disk(&[Role::State], 10, Some(97))], 0), ["state inodes"]);
        assert_eq!(told(&mut known, &[disk(&[Role::State], 97, Some(97))], 1), ["state bytes"]);
        assert_eq!(told(&mut known, &[disk(&[Role::State], 97, None)], 2), [""; 0]);
        assert_eq!(told(&mut known, &[disk(&[Role::State], 97, Some(97))], 3), ["state inodes"]);
    }

    #[test]
    fn one_file_system_is_one_alert_and_places_that_are_parted_later_are_not_told_again() {
        let mut known = Disks::default();
        assert_eq!(told(&mut known, &[disk(&[Role::Docker, Role::State], 90, None)], 0), ["docker+state bytes"]);
        let parted = [disk(&[Role::Docker], 90, None), disk(&[Role::State], 20, None)];
        assert_eq!(told(&mut known, &parted, 1), [""; 0]);
        let parted = [disk(&[Role::Docker], 90, None), disk(&[Role::State], 90, None)];
        assert_eq!(told(&mut known, &parted, 2), ["state bytes"]);
        assert_eq!(told(&mut known, &[disk(&[Role::Docker, Role::State], 90, None)], 3), [""; 0]);
    }

    #[test]
    fn a_place_that_has_moved_elsewhere_is_another_one() {
        let mut known = Disks::default();
        let moved = |percent| {
            let mut disk = disk(&[Role::Docker], percent, None);
            disk.places[0].path = "/elsewhere".into();
            disk
        };
        assert_eq!(told(&mut known, &[disk(&[Role::Docker], 90, None)], 0), ["docker bytes"]);
        assert_eq!(told(&mut known, &[moved(90)], 1), ["docker bytes"]);
        assert_eq!(told(&mut known, &[moved(82)], 2), [""; 0]);
        // One that was told before paths were written down is not told again.
        known.told.values_mut().for_each(|told| told.path = None);
        assert_eq!(told(&mut known, &[moved(90)], 3), [""; 0]);
    }

    #[test]
    fn what_cannot_be_looked_at_stays_as_it_is_known() {
        let mut known = Disks::default();
        assert_eq!(told(&mut known, &[disk(&[Role::Docker], 90, None)], 0), ["docker bytes"]);
        assert_eq!(told(&mut known, &[], 1), [""; 0]);
        assert_eq!(told(&mut known, &[disk(&[Role::Docker], 90, None)], 2), [""; 0]);
    }

    #[test]
    fn a_higher_watermark_is_another_crossing_and_a_lower_one_none() {
        let mut known = Disks::default();
        let mut on = |watermark, percent| {
            let (after, low) = crossed(&known, &[disk(&[Role::State], percent, None)], watermark, day(0));
            known = after;
            low.len()
        };
        let declared = [(85, 90), (95, 93), (95, 96), (95, 99), (85, 99), (95, 96)];
        assert_eq!(declared.map(|(watermark, percent)| on(watermark, percent)), [1, 0, 1, 0, 0, 0]);
        assert_eq!([(95, 89), (95, 96)].map(|(watermark, percent)| on(watermark, percent)), [0, 1]);
    }

    #[test]
    fn every_watermark_can_be_crossed_and_crossed_again() {
        for watermark in 1..=99 {
            let of = |known: &Disks, percent| crossed(known, &[disk(&[Role::State], percent, None)], watermark, day(0));
            let (known, low) = of(&Disks::default(), u64::from(watermark));
            assert_eq!(low.len(), 1, "{watermark}");
            let (known, _) = of(&known, 0);
            assert_eq!(known, Disks::default(), "{watermark}");
        }
    }

    #[test]
    fn an_alert_says_which_disk_how_full_and_what_takes_the_room() {
        let usage = Usage { images: Some(300 << 20), volumes: Some(500 << 20), snapshots: Some(1), build_cache: None };
        let alert = |disk: &Disk| low_disks(std::slice::from_ref(disk), WATERMARK)[0].alert(&usage, day(0)).evidence;
        assert_eq!(
            alert(&disk(&[Role::Docker, Role::State], 90, None)),
            "the file system of Docker's data root /docker and of the state directory /state is 90 % full: 100 of 1000 \
             MiB are free (prune.watermark: 85 %); of that: volumes 500 MiB, images 300 MiB, snapshots 1 MiB"
        );
        assert!(alert(&disk(&[Role::State], 90, None)).ends_with("; of that: snapshots 1 MiB"));
        assert!(alert(&disk(&[Role::State], 1, Some(90))).contains("has used 90 % of its inodes: "));
    }
}
