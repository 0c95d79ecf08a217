# Where files lie: the state directory, and the files with secrets.
{
  apps,
  cfg,
  lib,
  refuse,
  settings,
  ...
}:
let
  inherit (cfg) stateDir dockerDataRoot;
  secrets = import ../secrets.nix { inherit lib settings; };
  names = import ../names.nix { inherit lib; };
  within = dir: path: path == dir || lib.hasPrefix "${dir}/" path;
  isBelow = dirs: path: lib.any (dir: within dir path) dirs;
  passing = [
    "/tmp"
    "/var/tmp"
    "/run"
    "/dev"
  ];
  homes = [
    "/root"
    "/home"
    "/run/user"
  ];
  hidden = homes ++ [
    "/tmp"
    "/var/tmp"
  ];
  # Not to be written to, or made anew by others.
  systems = [
    builtins.storeDir
    "/bin"
    "/boot"
    "/etc"
    "/lib"
    "/lib64"
    "/nix"
    "/proc"
    "/sbin"
    "/sys"
    "/usr"
    "/var/lib/private"
  ];

  # Without doubled slashes, `.` and `..`: `/run/../nix//store` is the store.
  step =
    done: name:
    if name == "" || name == "." then
      done
    else if name == ".." then
      lib.take (lib.length done - 1) done
    else
      done ++ [ name ];
  normal =
    path:
    if isAbsolute path then
      "/${lib.concatStringsSep "/" (lib.foldl' step [ ] (lib.splitString "/" path))}"
    else
      path;

  # Files of recipes and of the operator that an app names, and that are no secrets.
  local = url: normal (lib.removePrefix "file://" (toString url));
  namesHidden =
    app:
    lib.any (path: isBelow hidden (local path)) (
      [ (app.table.recipe.url or "") ] ++ lib.toList (app.table.compose or [ ])
    );
  hiding = map (app: app.option) (lib.filter namesHidden apps);

  # One assertion for all the files that break a rule. No path is repeated: a secret may stand there by mistake.
  refuseFiles =
    isWrong: because:
    let
      wrong = map (file: names.option file.key) (
        lib.filter (file: isWrong (normal file.path)) secrets.all
      );
    in
    refuse (wrong != [ ]) "${lib.concatStringsSep ", " wrong}: ${because}";
  isAbsolute = lib.hasPrefix "/";
  isClean = path: builtins.match "(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+" path != null;
  isFolderOfItsOwn = path: isClean path && builtins.match "/[^/]*" path == null && path != "/var/lib";
in
[
  (refuse (!isAbsolute stateDir) ''
    services.evenkeel.stateDir is not an absolute path. Write such as "/var/lib/ci-warm".
  '')
  (refuse (isAbsolute dockerDataRoot && !isClean dockerDataRoot) ''
    services.evenkeel.dockerDataRoot is no plain path: names of letters, digits, _ - and ., without a / at the end.
    Choose such as "/var/lib/docker".
  '')
  (refuse (!isAbsolute dockerDataRoot) ''
    services.evenkeel.dockerDataRoot is not an absolute path. Write such as "/var/lib/docker".
  '')
  (refuse (isBelow (passing ++ homes ++ systems) dockerDataRoot) ''
    services.evenkeel.dockerDataRoot lies where a boot empties it, among the system's own files, or below a home folder,
    which the units do not see: what they put back would not be there. Choose such as "/var/lib/docker".
  '')
  (refuse (isBelow passing stateDir) ''
    services.evenkeel.stateDir lies where a boot or a cleaning empties it: the only copies of secrets and snapshots
    would be lost. Choose such as "/var/lib/ci-warm".
  '')
  (refuse (!(isBelow passing stateDir) && isBelow homes stateDir) ''
    services.evenkeel.stateDir lies below a home folder, which the units do not see. Choose such as
    "/var/lib/ci-warm".
  '')
  (refuse (isBelow systems stateDir) ''
    services.evenkeel.stateDir lies among the system's own files, or in what systemd keeps to itself: nobody can write
    there, or it is made anew. Choose such as "/var/lib/ci-warm".
  '')
  (refuse (isAbsolute stateDir && !isFolderOfItsOwn stateDir) ''
    services.evenkeel.stateDir is no folder of its own with a plain path: two names or more, of letters, digits, _ -
    and ., without a / at the end. Choose such as "/var/lib/ci-warm".
  '')
  (refuse (within dockerDataRoot stateDir || within stateDir dockerDataRoot) ''
    services.evenkeel.stateDir and Docker's data root lie in each other: what clears one would take the other.
    Choose another of the two.
  '')
  (refuseFiles (isBelow [ builtins.storeDir ]) ''
    in the Nix store, where everybody on this host can read it. Give a path of the running host, such as sops-nix
    makes below /run/secrets.
  '')
  (refuseFiles (path: !isAbsolute path) ''
    no absolute path. A file is named here, never a secret's value.
  '')
  (refuseFiles (isBelow hidden) ''
    below /root, /home, /run/user, /tmp or /var/tmp, which the units do not see. Put it elsewhere, such as below
    /run/secrets or /etc.
  '')
  (refuse (hiding != [ ]) ''
    ${lib.concatStringsSep ", " hiding}: the recipe, or a compose file, lies below /root, /home, /run/user, /tmp or
    /var/tmp, which the units do not see. Put it elsewhere, such as below /srv.
  '')
]
