# Input that does not evaluate, and words that the error has to have.
let
  url = "https://git.example.org/recipes/notes.git";
  app = rest: {
    services.evenkeel.apps.notes = {
      recipe = { inherit url; };
    }
    // rest;
  };
in
{
  unknown-option = {
    settings.services.evenkeel.baseDomian = "ci.example.org";
    says = "The option `services.evenkeel.baseDomian' does not exist";
  };
  unknown-option-of-an-app = {
    settings = app { verison = "1.0.0"; };
    says = "The option `services.evenkeel.apps.notes.verison' does not exist";
  };
  key-where-an-option-belongs = {
    settings = app { env_files = [ "/run/secrets/notes.env" ]; };
    says = "The option `services.evenkeel.apps.notes.env_files' does not exist";
  };
  app-without-recipe = {
    settings.services.evenkeel.apps.notes.version = "latest";
    says = "The option `services.evenkeel.apps.notes.recipe.url' was accessed but has no value defined";
  };
  text-for-a-number = {
    settings.services.evenkeel.maxTests = "2";
    says = "A definition for option `services.evenkeel.maxTests' is not of type `null or signed integer'";
  };
  number-for-a-text = {
    settings.services.evenkeel.settings.base_domain = 7;
    says = "A definition for option `services.evenkeel.settings.base_domain' is not of type";
  };
  number-out-of-range = {
    settings.services.evenkeel.prune.watermark = 100;
    says = "A definition for option `services.evenkeel.prune.watermark' is not of type";
  };
  word-that-is-none-of-the-few = {
    settings = app { policy.auto = "minr"; };
    says = "A definition for option `services.evenkeel.apps.notes.policy.auto' is not of type";
  };
  duration-without-unit = {
    settings = app { gate.within = "600"; };
    says = "A definition for option `services.evenkeel.apps.notes.gate.within' is not of type `null or duration such as";
  };
  secret-as-a-path-literal = {
    settings = app { secrets.session_key = ./wrong.nix; };
    says = "A definition for option `services.evenkeel.apps.notes.secrets.session_key' is not of type `absolute path, as a string'";
  };
  relative-certificate = {
    settings.services.evenkeel.certificate.chain = "secrets/chain.pem";
    says = "A definition for option `services.evenkeel.certificate.chain' is not of type `null or absolute path, as a string'";
  };
  status-out-of-range = {
    settings = app {
      gate.http = [
        {
          path = "/";
          status = 70000;
        }
      ];
    };
    says = "is not of type";
  };
  span-that-is-no-time = {
    settings.services.evenkeel.timers.resume.interval = "soon";
    says = "A definition for option `services.evenkeel.timers.resume.interval' is not of type `time span of systemd";
  };
  span-of-a-misspelt-unit = {
    settings.services.evenkeel.timers.resume.interval = "2mnt";
    says = "A definition for option `services.evenkeel.timers.resume.interval' is not of type `time span of systemd";
  };
  interval-of-nothing = {
    settings.services.evenkeel.timers.resume.interval = "0";
    says = "A definition for option `services.evenkeel.timers.resume.interval' is not of type `time span of systemd";
  };
  relay-of-a-misspelt-unit = {
    settings.services.evenkeel = {
      alerts.command = [ "/run/current-system/sw/bin/true" ];
      timers.relay.interval = "5minute s";
    };
    says = "A definition for option `services.evenkeel.timers.relay.interval' is not of type `time span of systemd";
  };
  relay-without-pause = {
    settings.services.evenkeel = {
      alerts.command = [ "/run/current-system/sw/bin/true" ];
      timers.relay.interval = "0min";
    };
    says = "A definition for option `services.evenkeel.timers.relay.interval' is not of type `time span of systemd";
  };
  delay-of-a-misspelt-unit = {
    settings.services.evenkeel.timers.nightly.randomizedDelay = "1hor";
    says = "A definition for option `services.evenkeel.timers.nightly.randomizedDelay' is not of type `time span of systemd";
  };
  delay-of-a-sweep-of-a-misspelt-unit = {
    settings.services.evenkeel = {
      canonical.notes.recipe = { inherit url; };
      sweep.randomizedDelay = "1hor";
    };
    says = "A definition for option `services.evenkeel.sweep.randomizedDelay' is not of type `time span of systemd";
  };
  last-night-of-no-unit = {
    settings.services.evenkeel.timers.watchdog.after = "26 hours";
    says = "A definition for option `services.evenkeel.timers.watchdog.after' is not of type `duration such as";
  };
  last-night-of-no-time = {
    settings.services.evenkeel.timers.watchdog.after = "0h";
    says = "A definition for option `services.evenkeel.timers.watchdog.after' is not of type `duration such as";
  };
  two-values-for-one-option = {
    settings.imports = [
      { services.evenkeel.network.name = "a"; }
      { services.evenkeel.network.name = "b"; }
    ];
    says = "The option `services.evenkeel.network.name' has conflicting definition values";
  };
  the-checked-file-is-ours = {
    settings.services.evenkeel.configFile = "/etc/mine.toml";
    says = "The option `services.evenkeel.configFile' is read-only";
  };
  runner-without-a-server = {
    settings.services.evenkeel.drone.runner.enable = true;
    says = "The option `services.evenkeel.drone.recipe.url' was accessed but has no value defined";
  };
  engine-that-nobody-knows = {
    settings.services.evenkeel.drone = {
      recipe = { inherit url; };
      engine = "jenkins";
    };
    says = "A definition for option `services.evenkeel.drone.engine' is not of type";
  };
  builds-without-end = {
    settings.services.evenkeel.drone = {
      recipe = { inherit url; };
      builds.timeoutMinutes = 0;
    };
    says = "A definition for option `services.evenkeel.drone.builds.timeoutMinutes' is not of type";
  };
}
