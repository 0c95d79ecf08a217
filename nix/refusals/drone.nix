# The build server's table, and its runner.
{
  cfg,
  config,
  lib,
  pkgs,
  refuse,
  settings,
  ...
}:
let
  names = import ../names.nix { inherit lib; };
  runner = import ../runners.nix { inherit config lib pkgs; };
  table = settings.drone or { };
  option = key: names.option ([ "drone" ] ++ key);
  refuseIt = isWrong: refuse (settings ? drone && isWrong);

  gitea = table.gitea or { };
  server = gitea.server or null;
  builds = table.builds or { };
  engine = table.engine or "drone";
  repositories = builds.repositories or [ ];
  isRepository = name: builtins.match "[^/ ]+/[^/ ]+" name != null;

  needed = [
    (if engine == "woodpecker" then "agent_secret" else "rpc_secret")
    "client_secret"
  ];
  missing = lib.filter (name: !(table.secrets or { } ? ${name})) needed;

  inherit (cfg.drone.runner) package;
  isRefused = !(package.meta.available or true);
  isUnfree = package.meta.unfree or false;
in
[
  (refuseIt (!(settings ? proxy)) ''
    services.evenkeel.drone is reached through the proxy, and there is none. Declare services.evenkeel.proxy.
  '')
  (refuseIt (table.gate.http or null == [ ]) ''
    services.evenkeel.drone: a gate that asks for nothing calls a build server healthy to which nobody can sign in. Leave
    gate.http out: /healthz and the sign-in are asked then.
  '')
  (refuseIt (server == null || !(gitea ? client_id)) ''
    services.evenkeel.drone has no Gitea to sign in by. Set ${option [ "gitea" ]}.server, such as "https://git.example.org",
    and .clientId, the id of the OAuth application that stands there.
  '')
  (refuseIt (server != null && builtins.match "https://[^/?#@[:space:]]+(/[^?#@[:space:]]*)?" server == null) ''
    ${option [ "gitea" "server" ]} is no https address. People sign in there, and the server sends its secret: write such as
    "https://git.example.org", without a login.
  '')
  (refuseIt (missing != [ ]) ''
    ${lib.concatMapStringsSep ", " (name: option [ "secrets" name ]) missing}: missing. Name a file: what the server and its
    runner know each other by, or the client_secret that Gitea gave with the client id.
  '')
  (refuseIt (lib.any (name: !isRepository name) repositories) ''
    ${option [ "builds" "repositories" ]}: a repository is named by its owner and its name, such as "org/notes".
  '')
  (refuseIt (repositories != [ ] && !(builds ? token)) ''
    ${option [ "builds" "repositories" ]} is given without ${option [ "builds" "token" ]}, and without one nothing can be set
    there. Name a file with the token of an administrator of the server, or leave the repositories out.
  '')
  (refuseIt (repositories != [ ] && !(builds ? timeout_minutes || builds ? trusted)) ''
    ${option [ "builds" "repositories" ]}: nothing is said that could be set there. Give ${option [ "builds" ]}.timeoutMinutes
    or .trusted, or leave the repositories out.
  '')
  (refuseIt (repositories == [ ] && removeAttrs builds [ "repositories" ] != { }) ''
    ${option [ "builds" ]} says what holds for repositories, and names none. Set ${option [ "builds" "repositories" ]}, such as
    [ "org/notes" ], or leave it out.
  '')
]
++ lib.optionals runner.isEnabled [
  (refuse (package == null) ''
    services.evenkeel.drone.runner.package: this nixpkgs has no ${runner.attribute}. Name a package, or set
    services.evenkeel.drone.runner.enable = false.
  '')
  (refuse (isRefused && isUnfree) ''
    services.evenkeel.drone.runner.package: nixpkgs refuses ${runner.attribute}, which is not free (PolyForm Small Business). Allow
    it by nixpkgs.config.allowUnfreePredicate = package: lib.getName package == "${runner.attribute}"; or take
    services.evenkeel.drone.engine = "woodpecker", whose agent is free, or set services.evenkeel.drone.runner.enable = false.
  '')
  (refuse (isRefused && !isUnfree) ''
    services.evenkeel.drone.runner.package: nixpkgs refuses ${runner.attribute}. Its meta says why: name another package, or set
    services.evenkeel.drone.runner.enable = false.
  '')
]
