# An app's table as options. Where one is null, or an empty set, its key is left out and the program's own default holds.
{ lib }:
let
  inherit (lib) mkOption types;

  path = types.strMatching "/.*" // {
    description = "absolute path, as a string";
  };
  duration = types.strMatching "([0-9]+(ms|s|m|h|d))+" // {
    description = "duration such as \"10s\", \"1h30m\" or \"7d\"";
  };
  optional =
    type: example: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit example description;
    };
  names =
    type: example: description:
    mkOption {
      type = types.attrsOf type;
      default = { };
      inherit example description;
    };
  text = types.nonEmptyStr;
  word = words: types.enum (lib.splitString " " words);
  texts = types.listOf text;
  days = types.ints.between 0 3650;
  status = types.ints.between 100 599;
  port = types.ints.between 1 65535;

  check = types.submodule {
    options = {
      path = mkOption {
        type = types.strMatching "/[^# ]*";
        example = "/health";
        description = ''
          What is asked for. Begins with `/`; may have a query. It has no default: a check needs one.
        '';
      };
      status = optional (types.either status (types.listOf status)) [
        200
        204
      ] "Allowed status, one or several. Default: 200 to 399.";
      body = optional text "Welcome" "Text that the body has to contain, as it stands.";
      pattern = optional text "Version 2\\.[0-9]+" ''
        Regular expression that has to match somewhere in the body.
      '';
      header = names text { content-type = "text/html"; } ''
        Headers, and the text that their values have to contain.
      '';
      redirect = optional text "https://login.example.org/" ''
        How the redirect's target begins. No redirect is followed.
      '';
      auth = optional path "/run/secrets/notes_login" ''
        A file with one line `user:password`, for basic authentication.
      '';
      host = optional text "chat.example.org" "Another name than the app's domain.";
      assets = optional types.bool true ''
        Whether each stylesheet, script, image and font of the page answers 200 too. Default: no.
      '';
    };
  };
in
rec {
  inherit
    duration
    path
    optional
    text
    word
    ;

  # What the proxy, the warm Keycloak, the apps and what is kept warm have alike.
  app = {
    recipe = {
      url = mkOption {
        type = text;
        example = "https://git.coopcloud.tech/coop-cloud/traefik.git";
        description = ''
          The recipe's git repository. It has no default: an app needs one.

          For one over ssh, name its host key in {option}`programs.ssh.knownHosts`, and the login's key in
          {option}`programs.ssh.extraConfig` (`IdentityFile /run/secrets/recipes_key`): the units see no home folder,
          and so no `~/.ssh`.
        '';
      };
      credentials = optional path "/run/secrets/git" ''
        A file with one line `user:token`, for a repository at `https` or `http`.
      '';
    };
    domain = optional text "wiki.example.org" ''
      Where it answers. The stack is named after it. Default: the app's name, `traefik` for the proxy, or `warm-` and the
      name of a {option}`services.evenkeel.canonical`, below {option}`services.evenkeel.baseDomain`.
    '';
    version = optional text "1.0.0+1.0.0" ''
      A tag of the recipe, or a commit by 7 digits or more of its id. Default: `"latest"`, the newest at the first
      install and from then on what {option}`policy` allows.
    '';
    compose =
      optional (types.nonEmptyListOf text)
        [
          "compose.yml"
          "compose.mariadb.yml"
        ]
        ''
          Compose files of the recipe in their order; absolute paths are files of yours. Default: as `COMPOSE_FILE`
          says.
        '';
    env =
      names
        (types.oneOf [
          types.str
          types.int
          types.bool
        ])
        { TZ = "Europe/Berlin"; }
        ''
          Values for the recipe's `.env`. Everybody on the host can read them: what is secret goes to {option}`envFiles` or
          {option}`secrets`.
        '';
    envFiles = optional (types.listOf path) [ "/run/secrets/notes.env" ] ''
      Files with such values, for those that not everybody may read. {option}`env` wins. Default: none.
    '';
    secrets =
      names path
        {
          session_key = "/run/secrets/notes_session_key";
        }
        ''
          The recipe's name of a secret, and a file with its exact bytes. The recipe's other secrets are made once.
        '';
    resolve = optional (word "changed always never") "always" ''
      When a registry is asked what an image's tag means: `"changed"`, when the recipe's words for the image are new (the
      default); `"always"`, at each run; `"never"`.
    '';

    gate = {
      within = optional duration "20m" "The longest wait for a good verdict. Default: `\"10m\"`.";
      stableFor = optional duration "1m" ''
        How long the same containers have to keep running. Default: `"20s"`.
      '';
      successes = optional (types.ints.between 1 1000) 5 "Good answers in a row. Default: 3.";
      http =
        optional (types.listOf check)
          [
            {
              path = "/health";
              status = 200;
            }
          ]
          ''
            What is asked through the proxy. An empty list asks nothing. Default: one check of `/` that takes any answer
            of the app itself from 200 to 499.
          '';
      tcp = optional (types.either port (types.listOf port)) [ 2222 ] ''
        Ports that have to accept a connection at the proxy's address. Default: none.
      '';
      certificate = {
        warnDays = optional days 30 "With fewer days left, a person is told. Default: 14.";
        failDays = optional days 3 "With fewer days left, the gate says no. Default: 0.";
      };
    };

    policy = {
      auto = optional (word "major minor patch none") "patch" ''
        The largest step that is taken by itself, of the recipe's own version and of the app's alike. Default:
        `"minor"`.
      '';
      notes = optional (word "hold alert ignore") "alert" ''
        What release notes on the way do: `"hold"` (the default), `"alert"` (taken, and told), `"ignore"`.
      '';
      never = optional texts [ "2.0.0+1.4.0" ] "Versions that are not taken. Default: none.";
      minAge = optional duration "24h" ''
        How long a version has to be known here first. Default: no time.
      '';
      window = optional text "02:00-05:00 Europe/Berlin" ''
        When a version may be taken; in UTC where no zone is named. Default: at any time. Let it lie around
        {option}`services.evenkeel.timers.nightly.dates` (that of a canonical around
        {option}`services.evenkeel.sweep.dates`): between two of them nothing newer is taken.
      '';
      lateRollback = optional types.bool true ''
        Whether a verdict that comes late may still take back data that people have written since. Default: no.
      '';
    };

    snapshot = {
      exclude = optional texts [ "cache" ] ''
        Volumes that are neither stored nor put back. Default: none.
      '';
      external = optional texts [ "media" ] "Volumes that somebody else keeps. Default: none.";
      unclean = optional (word "allow") "allow" ''
        `"allow"` also stores what a container leaves that had to be killed. Default: it is not stored.
      '';
    };
  };

  # What the build server has besides; its runner is options.nix'.
  drone = app // {
    engine = optional (word "drone woodpecker") "woodpecker" ''
      Which program the recipe runs: `"drone"` (Drone 2, the default) or `"woodpecker"` (Woodpecker 3).
    '';
    gitea = {
      server = optional text "https://git.example.org" ''
        The address of the Gitea whose users sign in. It has to be given.
      '';
      clientId = optional text "5b0b7e6c-1b0c-4f6b-9c80-0f4d9b3f0e11" ''
        The id of the OAuth application that stands there for this server. It has to be given; its secret is the recipe's
        `client_secret`.
      '';
    };
    rpc = optional text "grpc.ci.example.org:443" ''
      Where the runner reaches the server, with TLS, in case that is elsewhere: a host, and perhaps a port. Default: its
      domain.
    '';
    builds = {
      repositories = optional texts [ "org/notes" ] ''
        Repositories whose settings are kept as follows. Default: none.
      '';
      timeoutMinutes = optional (types.ints.between 1 10080) 60 ''
        After how many minutes a build of theirs is ended. Default: as it is there.
      '';
      trusted = optional types.bool true ''
        Whether their builds are trusted, and so may do what can harm the host. Default: as it is there.
      '';
      token = optional path "/run/secrets/drone_admin" ''
        A file with the token of a user who may set that: an administrator of the server. They need one.
      '';
    };
  };

  # What the proxy has besides; `certificate` is services.evenkeel.certificate.
  proxy = app // {
    address = optional text "192.0.2.10" ''
      Where the program asks for pages, with the app's own name. Default: `"127.0.0.1"`.
    '';
  };
}
