use proptest::prelude::*;

use super::*;

fn at(hours: i64) -> Timestamp {
    "2026-11-22T04:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn revision(version: &str) -> Revision {
    Revision { version: Some(version.to_owned()), commit: "a".repeat(40).parse().unwrap() }
}

fn row(result: Done, why: &str) -> Row {
    Row { result, from: Some("1.0.0+1".into()), to: Some("1.1.0+1".into()), why: why.to_owned(), ts: at(0) }
}

fn begun(before: Option<&Sweep>, recipes: &BTreeSet<String>, hours: i64) -> Sweep {
    begin(before, Asked { named: &[], recipes, by: "alice", now: at(hours) })
}

fn ended_with(rows: &[(&str, Done, &str)]) -> (Sweep, BTreeSet<String>) {
    let recipes = rows.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    let mut sweep = begun(None, &recipes, 0);
    for (name, result, why) in rows {
        sweep = sweep.with(name, Stands::Done(row(*result, why)));
    }
    sweep.ended = Some(at(1));
    (sweep, recipes)
}

fn order(sweep: &Sweep) -> Vec<&str> {
    sweep.recipes.iter().map(|recipe| recipe.name.as_str()).collect()
}

#[test]
fn what_has_no_known_good_is_seeded_whatever_is_said_of_versions() {
    let offered = [
        Offered::Nothing,
        Offered::Later("young".into()),
        Offered::Held("major".into()),
        Offered::Blocked("no".into()),
        Offered::Version(revision("1.0.0+1")),
    ];
    for offered in offered {
        assert_eq!(due(Known::Nothing, offered.clone()), Due::Seed);
        assert_eq!(due(Known::Lost, offered), Due::Seed);
    }
}

#[test]
fn what_is_offered_is_promoted_also_where_it_is_the_version_of_the_known_good_under_another_configuration() {
    let current = revision("1.0.0+1");
    let known = Known::Good(&current);
    let nothing = |done, why: &str| Due::Nothing(done, why.to_owned());
    assert_eq!(due(known, Offered::Version(revision("1.1.0+1"))), Due::Promote(revision("1.1.0+1")));
    assert_eq!(due(known, Offered::Version(current.clone())), Due::Promote(current.clone()));
    assert_eq!(due(known, Offered::Nothing), nothing(Done::Unchanged, ""));
    assert_eq!(due(known, Offered::Later("young".into())), nothing(Done::Waits, "young"));
    assert_eq!(due(known, Offered::Held("major".into())), nothing(Done::Held, "major"));
    assert_eq!(due(known, Offered::Blocked("twice".into())), nothing(Done::Blocked, "twice"));
}

#[test]
fn a_sweep_that_was_cut_short_goes_on_and_does_nothing_twice() {
    let recipes = names(&["a", "b", "c"]);
    let sweep = begun(None, &recipes, 0).with("a", Stands::Done(row(Done::Promoted, "")));
    let sweep = sweep.with("b", Stands::Working(Working { since: at(0), times: 1, throw_away: None, before: None }));
    let again = begun(Some(&sweep), &recipes, 24);
    assert_eq!(again, sweep);
    assert_eq!(again.next().unwrap().name, "b");
}

#[test]
fn nobody_is_sent_for_a_sweep_that_would_begin_anew() {
    let recipes = names(&["notes", "wiki"]);
    let open = begun(None, &recipes, 0);
    for hours in [-1, 0, 23, 24, 25, 24 * 7] {
        let goes_on = begun(Some(&open), &recipes, hours).began == open.began;
        assert_eq!(was_cut_short(&open, at(hours)), goes_on, "after {hours} hours");
    }
    let ended = Sweep { ended: Some(at(1)), ..open.clone() };
    assert!(!was_cut_short(&ended, at(2)));
    let by_hand = Sweep { named: vec!["wiki".into()], ..open };
    assert!(!was_cut_short(&by_hand, at(2)), "the unit sweeps all, and would begin another one");
}

#[test]
fn it_goes_on_with_what_is_declared_by_then() {
    let sweep = begun(None, &names(&["a", "b"]), 0).with("a", Stands::Done(row(Done::Promoted, "")));
    let again = begun(Some(&sweep), &names(&["a", "c"]), 1);
    assert_eq!(order(&again), ["a", "c"]);
    assert_eq!(again.rows().count(), 1);
}

#[test]
fn one_that_has_ended_or_is_old_or_was_asked_for_others_is_not_gone_on_with() {
    let recipes = names(&["a", "b"]);
    let sweep = begun(None, &recipes, 0).with("a", Stands::Done(row(Done::Promoted, "")));
    let ended = Sweep { ended: Some(at(0)), ..sweep.clone() };
    assert_eq!(begun(Some(&ended), &recipes, 1).rows().count(), 0);
    assert_eq!(begun(Some(&sweep), &recipes, 25).rows().count(), 0);
    assert_eq!(begun(Some(&sweep), &recipes, -1).rows().count(), 0, "clocks are set back");
    let named = ["a".to_owned()];
    let a = names(&["a"]);
    let asked = Asked { named: &named, recipes: &a, by: "alice", now: at(1) };
    assert_eq!(begin(Some(&sweep), asked).rows().count(), 0);
}

#[test]
fn what_was_not_reached_is_first_the_next_time_and_what_it_died_of_is_last() {
    let rows =
        [("a", Done::Promoted, ""), ("b", Done::Error, "x"), ("c", Done::NotReached, "full"), ("d", Done::Held, "x")];
    let (sweep, recipes) = ended_with(&rows);
    let sweep = sweep.with("a", Stands::Working(Working { since: at(0), times: 1, throw_away: None, before: None }));
    assert_eq!(order(&begun(Some(&sweep), &recipes, 100)), ["c", "b", "d", "a"]);
}

#[test]
fn a_recipe_that_cuts_the_sweep_short_again_and_again_is_left_out() {
    let mut stands = Stands::Due;
    for times in 1..=ENOUGH {
        stands = take_up(&stands, at(0));
        assert!(matches!(&stands, Stands::Working(working) if working.times == times), "{stands:?}");
    }
    let Stands::Done(row) = take_up(&stands, at(1)) else { panic!("it is given up") };
    assert_eq!((row.result, row.why.contains("cut short 2 times")), (Done::Error, true));
}

#[test]
fn a_sweep_that_was_to_do_something_and_did_nothing_without_a_word_is_hollow() {
    let (hollow_one, recipes) = ended_with(&[("a", Done::NotReached, " "), ("b", Done::Unchanged, "")]);
    assert_eq!(
        hollow(&hollow_one, &recipes).unwrap(),
        "the sweep is hollow: something was due for a, and nothing was done"
    );
    assert_eq!(exit_code(&hollow_one, &recipes), 1);
    let (unsaid, mut recipes) = ended_with(&[("a", Done::Unchanged, "")]);
    recipes.insert("b".to_owned());
    assert!(hollow(&unsaid, &recipes).unwrap().ends_with("nothing was done about b"));
    assert_eq!(exit_code(&unsaid, &recipes), 1);
    assert!(hollow(&unsaid, &BTreeSet::new()).unwrap().contains("no recipe is enrolled"));
}

#[test]
fn a_sweep_with_nothing_due_or_with_a_reason_is_not_hollow() {
    for rows in [
        &[("a", Done::Unchanged, "")][..],
        &[("a", Done::Held, "major"), ("b", Done::Waits, "young")],
        &[("a", Done::Refused, "it crashes")],
        &[("a", Done::Promoted, ""), ("b", Done::Error, "")],
    ] {
        let (sweep, recipes) = ended_with(rows);
        assert_eq!(hollow(&sweep, &recipes), None, "{rows:?}");
    }
}

#[test]
fn what_a_stopped_sweep_did_not_come_to_says_why() {
    let recipes = names(&["a", "b", "c"]);
    let sweep = begun(None, &recipes, 0).with("a", Stands::Done(row(Done::Promoted, "")));
    let sweep = stopped(sweep, "the disk is full", at(1));
    let results: Vec<_> = sweep.rows().map(|(name, row)| (name, row.result, row.why.as_str())).collect();
    let full = |name| (name, Done::NotReached, "the disk is full");
    assert_eq!(results, [("a", Done::Promoted, ""), full("b"), full("c")]);
    assert_eq!((hollow(&sweep, &recipes), exit_code(&sweep, &recipes)), (None, 12));
}

#[test]
fn the_table_tells_each_recipe_once_and_the_sum_what_was_really_done() {
    let (sweep, _) = ended_with(&[
        ("wiki", Done::Refused, "service app:\n  exits 3 times"),
        ("blog", Done::Promoted, ""),
        ("long-name", Done::Unchanged, ""),
    ]);
    assert_eq!(
        table(&sweep),
        "RECIPE     RESULT     FROM     TO       WHY\n\
         blog       promoted   1.0.0+1  1.1.0+1\n\
         long-name  unchanged  1.0.0+1  1.1.0+1\n\
         wiki       refused    1.0.0+1  1.1.0+1  service app: exits 3 times\n"
    );
    assert_eq!(summary(&sweep), "1 new known-good, of 2 due, of 3 recipes: 1 promoted, 1 unchanged, 1 refused");
}

fn stands() -> impl Strategy<Value = Stands> {
    prop_oneof![
        Just(Stands::Due),
        (0..4_u32).prop_map(|times| Stands::Working(Working { since: at(0), times, throw_away: None, before: None })),
        (0..Done::ALL.len()).prop_map(|done| Stands::Done(row(Done::ALL[done], "why"))),
    ]
}

fn sweeps() -> impl Strategy<Value = Sweep> {
    let recipes = prop::collection::btree_map("[a-e]", stands(), 0..5);
    (recipes, any::<bool>()).prop_map(|(recipes, is_over)| Sweep {
        schema: SCHEMA,
        began: at(0),
        by: "alice".into(),
        named: vec![],
        ended: is_over.then(|| at(1)),
        recipes: recipes.into_iter().map(|(name, stands)| Recipe { name, stands }).collect(),
    })
}

proptest! {
    /// However often it is killed, and wherever: each recipe comes to an end once, and the sweep ends.
    #[test]
    fn every_sweep_ends_with_a_row_for_each_recipe(
        before in prop::option::of(sweeps()),
        recipes in prop::collection::btree_set("[a-e]", 0..5),
        kills in prop::collection::vec(any::<bool>(), 0..40),
    ) {
        let mut sweep = begun(before.as_ref(), &recipes, 2);
        let mut kills = kills.into_iter();
        let mut ended = BTreeSet::new();
        let kept: BTreeSet<String> = sweep.rows().map(|(name, _)| name.to_owned()).collect();
        let mut steps = 0;
        while let Some(recipe) = sweep.next().cloned() {
            steps += 1;
            prop_assert!(steps < 100, "it does not end");
            let taken = take_up(&recipe.stands, at(2));
            sweep = sweep.with(&recipe.name, taken.clone());
            if kills.next() == Some(true) {
                sweep = begun(Some(&sweep), &recipes, 3);
                continue;
            }
            if let Stands::Working(_) = taken {
                prop_assert!(ended.insert(recipe.name.clone()) && !kept.contains(&recipe.name), "done twice");
                sweep = sweep.with(&recipe.name, Stands::Done(row(Done::Promoted, "")));
            }
        }
        let told: BTreeSet<String> = sweep.rows().map(|(name, _)| name.to_owned()).collect();
        prop_assert_eq!(&told, &recipes);
        prop_assert_eq!(sweep.rows().count(), recipes.len());
    }

    /// Green means that nothing was due or that each of what was due was done.
    #[test]
    fn no_sweep_is_green_where_something_due_was_not_done(sweep in sweeps(), more in prop::option::of("[f-g]")) {
        let mut recipes: BTreeSet<String> = sweep.recipes.iter().map(|recipe| recipe.name.clone()).collect();
        recipes.extend(more);
        let all_done = recipes.iter().all(|name| {
            let told = sweep.rows().find(|(told, _)| told == name);
            told.is_some_and(|(_, row)| row.result != Done::Held && (row.result.is_work() || !row.result.was_due()))
        });
        prop_assert_eq!(exit_code(&sweep, &recipes) == 0, all_done && !recipes.is_empty());
    }
}
