# Settings that evaluate with a warning.
let
  notes = {
    recipe.url = "https://git.example.org/recipes/notes.git";
  };
in
{
  nothing-is-kept.settings = { };
  window-in-another-zone-than-the-night.settings = {
    time.timeZone = "America/Los_Angeles";
    services.evenkeel.apps = {
      notes = notes // {
        policy.window = "02:00-05:00";
      };
      wiki = notes // {
        policy.window = "02:00-05:00 America/Los_Angeles";
      };
    };
  };
  window-in-another-zone-than-the-sweep.settings = {
    time.timeZone = "America/Los_Angeles";
    services.evenkeel.canonical.notes = notes // {
      policy.window = "02:00-05:00";
    };
  };
  nights-that-come-once-a-week.settings.services.evenkeel = {
    apps = { inherit notes; };
    timers.nightly.dates = "Sat 03:00";
  };
}
