# The two namings: options are called `baseDomain`, the program's keys `base_domain`. All else is the same, and names that
# the operator chose (apps, variables, secrets, headers) stay as they are.
{ lib }:
let
  inherit (builtins)
    elem
    isAttrs
    isList
    ;
  chosen = [
    "env"
    "secrets"
    "header"
  ];

  snake = lib.concatMapStrings (c: if lib.toLower c == c then c else "_${lib.toLower c}");
  key = name: snake (lib.stringToCharacters name);

  camel =
    key:
    let
      words = lib.splitString "_" key;
      capital =
        word: lib.toUpper (builtins.substring 0 1 word) + builtins.substring 1 (lib.stringLength word) word;
    in
    lib.concatStrings ([ (lib.head words) ] ++ map capital (lib.tail words));
  camels =
    path:
    if path == [ ] then
      [ ]
    else if elem (lib.head path) chosen then
      path
    else
      [ (camel (lib.head path)) ] ++ camels (lib.tail path);
  isEmpty = v: v == null || v == { };
in
rec {
  # Values of options by the program's keys; what is null or empty is left out.
  keys =
    value:
    if isList value then
      map keys value
    else if isAttrs value then
      lib.filterAttrs (_: v: !isEmpty v) (
        lib.mapAttrs' (name: v: lib.nameValuePair (key name) (if elem name chosen then v else keys v)) value
      )
    else
      value;

  # The option of a key, which is given by its words: `app notes env_files` is apps.notes.envFiles.
  option =
    path:
    let
      named = lib.filter (kind: !(kind ? name) && kind.key == lib.head path) (import ./kinds.nix);
      words =
        if path == [ "registry_auth" ] then
          [ "registryAuthFile" ]
        else if named != [ ] then
          [ (lib.head named).option ] ++ lib.take 1 (lib.tail path) ++ camels (lib.drop 2 path)
        else if lib.hasPrefix "proxy.certificate." (lib.concatStringsSep "." path) then
          lib.tail path
        else
          camels path;
    in
    "services.evenkeel.${lib.concatStringsSep "." words}";
}
