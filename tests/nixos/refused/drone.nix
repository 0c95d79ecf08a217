# Tables of the build server that are refused, and runners.
let
  drone =
    rest:
    { lib, ... }:
    {
      services.evenkeel = {
        proxy.recipe.url = "https://git.example.org/recipes/traefik.git";
        drone = lib.recursiveUpdate {
          recipe.url = "https://git.example.org/recipes/drone.git";
          secrets = {
            rpc_secret = "/run/secrets/drone_rpc";
            client_secret = "/run/secrets/drone_client";
          };
          gitea = {
            server = "https://git.example.org";
            clientId = "5b0b7e6c-1b0c-4f6b-9c80-0f4d9b3f0e11";
          };
        } rest;
      };
    };
  at = server: { settings = drone { gitea = { inherit server; }; }; };
  builds = builds: { settings = drone { inherit builds; }; };
  none = { lib, ... }: { services.evenkeel.proxy = lib.mkForce null; };
  # As nixpkgs gives what it refuses.
  refused = name: unfree: {
    inherit name;
    type = "derivation";
    outPath = throw "${name} is refused";
    meta = {
      inherit unfree;
      available = false;
    };
  };
in
{
  drone-without-proxy.settings.imports = [
    (drone { })
    none
  ];
  drone-that-is-not-asked.settings = drone { gate.http = [ ]; };
  no-gitea.settings = drone {
    gitea = {
      server = null;
      clientId = null;
    };
  };
  no-client-id.settings = drone { gitea.clientId = null; };
  gitea-without-tls = at "http://git.example.org";
  gitea-by-its-name = at "git.example.org";
  gitea-with-a-login = at "https://ci:hunter2@git.example.org";
  gitea-with-a-query = at "https://git.example.org/?page=1";
  no-secrets.settings.imports = [
    (drone { })
    ({ lib, ... }: { services.evenkeel.drone.secrets = lib.mkForce { }; })
  ];
  woodpecker-with-drones-secret.settings = drone { engine = "woodpecker"; };
  secret-in-the-store.settings = drone { secrets.rpc_secret = "/nix/store/secret"; };
  token-below-a-home-folder.settings = drone {
    builds = {
      trusted = false;
      token = "/root/token";
      repositories = [ "org/notes" ];
    };
  };
  token-that-everybody-can-read.settings = drone { env.DRONE_USER_TOKEN = "hunter2"; };
  repository-without-owner = builds {
    timeoutMinutes = 60;
    repositories = [ "notes" ];
    token = "/run/secrets/drone_admin";
  };
  repositories-without-token = builds {
    timeoutMinutes = 60;
    repositories = [ "org/notes" ];
  };
  repositories-of-which-nothing-is-said = builds {
    repositories = [ "org/notes" ];
    token = "/run/secrets/drone_admin";
  };
  time-for-no-repository = builds { timeoutMinutes = 60; };
  token-for-no-repository = builds { token = "/run/secrets/drone_admin"; };
  app-at-the-servers-domain.settings.imports = [
    (drone { })
    {
      services.evenkeel.apps.notes = {
        recipe.url = "https://git.example.org/recipes/notes.git";
        domain = "drone.ci.example.org";
      };
    }
  ];
  no-capacity-for-builds.settings.imports = [
    (drone { })
    { services.evenkeel.maxTests = 0; }
  ];
  runner-that-this-nixpkgs-lacks.settings = drone { runner.enable = true; };
  agent-that-this-nixpkgs-lacks.settings = drone {
    engine = "woodpecker";
    secrets.agent_secret = "/run/secrets/woodpecker_agent";
    runner.enable = true;
  };
  runner-that-is-not-allowed.settings = drone {
    runner = {
      enable = true;
      package = refused "drone-runner-exec" true;
    };
  };
  runner-that-is-broken.settings = drone {
    runner = {
      enable = true;
      package = refused "drone-runner-exec" false;
    };
  };
  agent-that-is-broken.settings = drone {
    engine = "woodpecker";
    secrets.agent_secret = "/run/secrets/woodpecker_agent";
    runner = {
      enable = true;
      package = refused "woodpecker-agent" false;
    };
  };
}
