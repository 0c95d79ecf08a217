# Places of files that are refused.
let
  notes = rest: {
    services.evenkeel.apps.notes = {
      recipe.url = "https://git.example.org/recipes/notes.git";
    }
    // rest;
  };
  proxy = rest: {
    services.evenkeel = {
      proxy.recipe.url = "https://git.example.org/recipes/traefik.git";
    }
    // rest;
  };
in
{
  state-in-tmp.settings.services.evenkeel.stateDir = "/tmp/evenkeel";
  state-in-var-tmp.settings.services.evenkeel.stateDir = "/var/tmp/evenkeel";
  state-in-run.settings.services.evenkeel.stateDir = "/run/evenkeel";
  state-relative.settings.services.evenkeel.stateDir = "evenkeel";
  state-in-a-home.settings.services.evenkeel.stateDir = "/root/evenkeel";
  state-in-the-store.settings.services.evenkeel.stateDir = "/nix/store/evenkeel";
  state-in-proc.settings.services.evenkeel.stateDir = "/proc/evenkeel";
  state-in-sys.settings.services.evenkeel.stateDir = "/sys/evenkeel";
  state-in-dev.settings.services.evenkeel.stateDir = "/dev/evenkeel";
  state-in-usr.settings.services.evenkeel.stateDir = "/usr/evenkeel";
  state-in-boot.settings.services.evenkeel.stateDir = "/boot/evenkeel";
  state-in-etc.settings.services.evenkeel.stateDir = "/etc/evenkeel";
  state-in-nix.settings.services.evenkeel.stateDir = "/nix/var/evenkeel";
  state-that-is-private.settings.services.evenkeel.stateDir = "/var/lib/private/evenkeel";
  state-with-a-blank.settings.services.evenkeel.stateDir = "/data/even keel";
  state-with-a-slash-at-the-end.settings.services.evenkeel.stateDir = "/data/evenkeel/";
  state-is-all-of-var-lib.settings.services.evenkeel.stateDir = "/var/lib";
  state-below-docker.settings.services.evenkeel.stateDir = "/var/lib/docker/evenkeel";
  data-root-with-a-blank.settings.services.evenkeel.dockerDataRoot = "/docker data";
  data-root-in-a-home.settings.services.evenkeel.dockerDataRoot = "/home/docker";
  data-root-of-root.settings.services.evenkeel.dockerDataRoot = "/root/docker";
  data-root-in-tmp.settings.services.evenkeel.dockerDataRoot = "/tmp/docker";
  data-root-of-a-session.settings.virtualisation.docker.daemon.settings.data-root =
    "/run/user/0/docker";
  data-root-in-etc.settings.services.evenkeel.dockerDataRoot = "/etc/docker";
  data-root-relative.settings.services.evenkeel.dockerDataRoot = "docker";
  state-in-settings.settings.services.evenkeel.settings.state_dir = "/tmp/evenkeel";
  certificate-in-the-store.settings = proxy {
    certificate = {
      chain = "/nix/store/b6gvzjyb2pg0kjfwrjmg1vfhh54ad73z-chain.pem";
      key = "/nix/store/b6gvzjyb2pg0kjfwrjmg1vfhh54ad73z-key.pem";
    };
  };
  secret-in-the-store.settings = notes {
    secrets.session_key = "/nix/store/b6gvzjyb2pg0kjfwrjmg1vfhh54ad73z-key";
  };
  env-file-in-the-store.settings = notes {
    envFiles = [ "/nix/store/b6gvzjyb2pg0kjfwrjmg1vfhh54ad73z-env" ];
  };
  registry-auth-in-a-home.settings.services.evenkeel.registryAuthFile = "/root/.docker/config.json";
  login-in-tmp.settings = proxy {
    apps.notes = {
      recipe.url = "https://git.example.org/recipes/notes.git";
      gate.http = [
        {
          path = "/";
          auth = "/tmp/login";
        }
      ];
    };
  };
  secret-that-is-no-path.settings.services.evenkeel.settings.app.notes = {
    recipe.url = "https://git.example.org/recipes/notes.git";
    secrets.session_key = "hunter2";
  };
  secret-that-is-a-number.settings.services.evenkeel.settings.app.notes = {
    recipe.url = "https://git.example.org/recipes/notes.git";
    secrets.session_key = 123456;
  };
  secret-as-a-path-literal-in-settings.settings.services.evenkeel.settings.app.notes = {
    recipe.url = "https://git.example.org/recipes/notes.git";
    secrets.session_key = ./files.nix;
    env_files = [ ./files.nix ];
  };
  secret-in-the-store-after-two-slashes.settings = notes {
    secrets.session_key = "//nix/store/b6gvzjyb2pg0kjfwrjmg1vfhh54ad73z-key";
  };
  secret-in-the-store-by-a-way-round.settings = notes {
    secrets.session_key = "/run/../nix/./store/b6gvzjyb2pg0kjfwrjmg1vfhh54ad73z-key";
  };
  secrets-of-what-is-kept-warm-in-a-home.settings.services.evenkeel.canonical.header = {
    recipe.url = "https://git.example.org/recipes/notes.git";
    envFiles = [ "/root/notes.env" ];
    secrets.session_key = "/home/ops/notes";
  };
  recipe-in-a-home.settings.services.evenkeel.apps.notes.recipe.url = "/root/recipes/notes";
  recipe-by-an-address-in-a-home.settings.services.evenkeel.apps.notes.recipe.url =
    "file:///home/ops/notes";
  compose-file-in-a-home.settings = notes {
    compose = [
      "compose.yml"
      "/home/ops/compose.mine.yml"
    ];
  };
}
