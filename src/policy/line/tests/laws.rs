//! What holds of any line.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Few versions and few reasons, so that they often meet.
fn worlds() -> impl Strategy<Value = World> {
    let some = || prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let policy = (0..4_usize, 0..3_usize, any::<bool>(), any::<bool>());
    let versions = prop::collection::btree_set("[12]\\.[0-2]\\.[0-1]\\+[12]\\.[0-1](-x)?", 1..9);
    (versions, any::<prop::sample::Index>(), policy, [some(), some(), some(), some(), some()], 0..3_u32).prop_map(
        |(versions, current, (auto, notes, aged, shut), picked, times)| {
            let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
            let pick = |which: usize| -> Vec<&str> { picked[which].iter().map(|at| *at.get(&versions)).collect() };
            let mut world = world(current.get::<&str>(&versions), &versions, &pick(0));
            world.policy.auto = [Auto::None, Auto::Patch, Auto::Minor, Auto::Major][auto];
            world.policy.notes = [OnNotes::Hold, OnNotes::Alert, OnNotes::Ignore][notes];
            world.policy.never = pick(1).into_iter().map(version).collect();
            world.policy.min_age = Duration::from_secs(if aged { 3600 } else { 0 });
            world.policy.window = shut.then(|| "02:00-05:00".parse().unwrap());
            world.greedy = pick(2).into_iter().map(str::to_owned).collect();
            world.refused = pick(3).into_iter().map(refused).collect();
            if let Some(young) = pick(4).last() {
                world.seen.remove(&version(young));
            }
            let killed = pick(4).first().map(|target| at(target));
            world.interrupted = killed.map(|revision| Interrupted { key: "key".into(), revision, times });
            world
        },
    )
}

fn taken(world: &World) -> Option<RecipeVersion> {
    match world.choice() {
        Choice::Upgrade(upgrade) => version_of(&upgrade.target),
        Choice::Current | Choice::Waiting { .. } | Choice::Held(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_older_is_ever_taken(world in worlds()) {
        if let Some(taken) = taken(&world) {
            prop_assert!(taken > version_of(&world.current).unwrap());
        }
    }

    #[test]
    fn no_barrier_is_ever_crossed_without_a_word(world in worlds()) {
        let Some(taken) = taken(&world) else { return Ok(()) };
        let (current, name) = (version_of(&world.current).unwrap(), taken.to_string());
        let first_number = |app: &str| app.split(['.', '-']).next().unwrap().to_owned();
        if world.policy.auto != Auto::Major {
            prop_assert_eq!(current.recipe.0, taken.recipe.0);
            prop_assert_eq!(first_number(&current.app), first_number(&taken.app));
            prop_assert_eq!(current.app.contains("-x"), taken.app.contains("-x"));
        }
        if world.policy.auto == Auto::Patch {
            prop_assert_eq!(current.recipe.1, taken.recipe.1);
        }
        prop_assert!(world.policy.auto != Auto::None);
        let noted = world.notes.values().next().unwrap().between(&current, &taken);
        prop_assert!(world.policy.notes != OnNotes::Hold || noted.is_empty());
        prop_assert!(!world.policy.never.contains(&taken) && !world.greedy.contains(&name));
        prop_assert!(!world.refused.iter().any(|refused| refused.revision == at(&name)));
        prop_assert!(world.policy.window.is_none());
        prop_assert!(world.policy.min_age.is_zero() || world.seen.contains_key(&taken));
    }

    #[test]
    fn one_more_approval_never_takes_an_older_version(world in worlds(), approved in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let mut world = world;
        let mut before = taken(&world);
        let names: Vec<String> = world.read_line().candidates.iter().map(|one| one.revision.to_string()).collect();
        if names.is_empty() {
            return Ok(());
        }
        for which in approved {
            world.approve(which.get::<String>(&names));
            let now = taken(&world);
            prop_assert!(now >= before, "{before:?} -> {now:?}");
            before = now;
        }
    }

    #[test]
    fn the_order_in_which_things_come_does_not_matter(world in worlds()) {
        let mut other = world.clone();
        other.published.versions.reverse();
        other.refused.reverse();
        other.policy.never.reverse();
        other.greedy.reverse();
        prop_assert_eq!(world.choice(), other.choice());
        prop_assert_eq!(world.choice(), world.choice());
    }

    #[test]
    fn what_is_approved_is_taken_unless_something_newer_is(world in worlds(), which in any::<prop::sample::Index>()) {
        let mut world = world;
        world.policy.window = None;
        let names: Vec<String> = world.read_line().candidates.iter().map(|one| one.revision.to_string()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let name = which.get(&names).clone();
        world.approve(&name);
        prop_assert!(taken(&world) >= Some(version(&name)));
    }
}
