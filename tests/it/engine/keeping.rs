//! The real program keeps real stacks.

use super::recorder::writes;
use crate::world::World;

#[test]
fn an_app_with_a_database_is_installed_and_then_left_alone() {
    let world = World::new().app("notes", "notes", "1.0.0+1.0.0", "");
    let said = world.ok(&["app", "notes"]);
    assert!(said.out.starts_with("notes: applied: installed 1.0.0+1.0.0"), "{said:?}");
    assert_eq!(world.state("notes")["current"]["body"]["revision"]["version"], "1.0.0+1.0.0");

    let before = world.fingerprint("notes");
    let state = std::fs::read(world.state_dir().join("notes/state.json")).unwrap();
    let (world, recorder) = world.recorded();
    let said = world.ok(&["app", "notes"]);
    assert_eq!(said.out, "notes: converged\n");
    let requests = recorder.take();
    assert!(!requests.is_empty());
    assert_eq!(writes(&requests), Vec::<&String>::new());
    assert_eq!(world.fingerprint("notes"), before);
    assert_eq!(std::fs::read(world.state_dir().join("notes/state.json")).unwrap(), state);
}
