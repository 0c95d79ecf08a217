use super::*;

fn warm(status: Status) -> Warm {
    let left = volumes(7);
    let indexes = [("app".to_owned(), 3)].into();
    Warm { left, indexes, ..Warm::new(status, "alice", "2026-06-01T02:00:00Z".parse().unwrap()) }
}

fn volumes(inode: u64) -> BTreeMap<String, Left> {
    [("wiki_data".to_owned(), Left { inode, born: None })].into()
}

fn indexes(index: u64) -> BTreeMap<String, u64> {
    [("app".to_owned(), index)].into()
}

#[test]
fn idle_is_believed_only_of_the_same_volumes_and_services_that_nobody_started() {
    let idle = warm(Status::Idle);
    assert_eq!(strange(&idle, &volumes(7), false, &indexes(3)), None);
    let why = |volumes, runs, index| strange(&idle, &volumes, runs, &indexes(index)).unwrap();
    assert_eq!(why(volumes(8), false, 3), "volume wiki_data was another one than it left");
    assert_eq!(why(BTreeMap::new(), false, 3), "volume wiki_data was gone");
    assert_eq!(why(volumes(7), true, 3), "its services were started by somebody else");
    assert!(why(volumes(7), false, 4).contains("service app was written"));
}

#[test]
fn what_is_deployed_is_strange_only_where_its_volumes_are() {
    let deployed = warm(Status::Deployed);
    assert_eq!(strange(&deployed, &volumes(7), true, &indexes(9)), None);
    assert!(strange(&deployed, &volumes(8), true, &indexes(9)).is_some());
}

#[test]
fn the_record_says_what_is_there() {
    use Snapshot::{Gone, Whole};
    let strange = || Some("volume wiki_data was gone".to_owned());
    let dirty = "its data was not what the known-good left".to_owned();
    let rows = [
        (Status::Idle, None, Whole, Held::True),
        (Status::Idle, None, Gone, Held::True),
        (Status::Idle, strange(), Whole, Held::Dirty(strange().unwrap())),
        (Status::Idle, strange(), Gone, Held::Lost(strange().unwrap())),
        (Status::Dirty, None, Whole, Held::True),
        (Status::Dirty, None, Gone, Held::Lost(dirty)),
        (Status::Lost, None, Gone, Held::True),
        (Status::Lost, None, Whole, Held::Found),
        (Status::Deployed, strange(), Gone, Held::True),
    ];
    for (status, strange, snapshot, says) in rows {
        assert_eq!(held(&warm(status), strange.clone(), snapshot), says, "{status:?} {strange:?} {snapshot:?}");
    }
}

#[test]
fn what_is_deployed_or_runs_is_ended_and_what_is_whole_is_stored_again() {
    use Snapshot::{Gone, Whole};
    let rows = [
        (Status::Deployed, true, Whole, Resting::End),
        (Status::Deployed, false, Gone, Resting::End),
        (Status::Dirty, true, Whole, Resting::End),
        (Status::Dirty, false, Whole, Resting::Nothing),
        (Status::Idle, false, Whole, Resting::Nothing),
        (Status::Idle, false, Gone, Resting::Store),
        (Status::Lost, true, Gone, Resting::Nothing),
    ];
    for (status, runs, snapshot, how) in rows {
        assert_eq!(resting(&warm(status), runs, snapshot), how, "{status:?} {runs} {snapshot:?}");
    }
}
