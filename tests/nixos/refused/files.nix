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
  state-with-a-blank.settings.services.evenkeel.stateDir = "/data/even keel";
  state-with-a-slash-at-the-end.settings.services.evenkeel.stateDir = "/data/evenkeel/";
  state-is-all-of-var-lib.settings.services.evenkeel.stateDir = "/var/lib";
  state-below-docker.settings.services.evenkeel.stateDir = "/var/lib/docker/evenkeel";
  data-root-with-a-blank.settings.services.evenkeel.dockerDataRoot = "/docker data";
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
}
