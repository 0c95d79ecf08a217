# The page of the module's options, made from the options themselves.
{ lib, pkgs }:
let
  inherit (lib)
    concatMapStringsSep
    concatStringsSep
    filter
    hasInfix
    hasPrefix
    optionalString
    removePrefix
    replaceStrings
    stringLength
    ;

  evaluated = lib.evalModules {
    modules = [
      ./module.nix
      {
        _module.check = false;
        _module.args = { inherit pkgs; };
      }
    ];
  };

  prefix = "services.evenkeel.";
  isShown = o: o.visible && !o.internal && hasPrefix prefix o.name && !hasInfix "._module." o.name;
  shown = filter isShown (lib.optionAttrSetToDocList evaluated.options);

  # Words of the NixOS manual that Markdown does not know.
  prose = text: lib.trim (replaceStrings roles (map (_: "") roles) text);
  roles = [
    "{command}"
    "{env}"
    "{file}"
    "{manpage}"
    "{option}"
    "{var}"
  ];

  # How types are put in brackets is not the same in every nixpkgs.
  type = o: replaceStrings [ "(both inclusive)" "(" ")" ] [ "(both inclusive)" "" "" ] o.type;

  # On one line what is short: lists and sets come with a line for each of their parts.
  oneLine = text: concatMapStringsSep " " lib.trim (lib.splitString "\n" text);
  code =
    text:
    if !hasInfix "''" text && stringLength (oneLine text) <= 80 then
      "`${oneLine text}`"
    else
      "\n\n  ```nix\n  ${replaceStrings [ "\n" ] [ "\n  " ] text}\n  ```";
  value =
    title: v: "\n- ${title}: ${if v._type == "literalMD" then prose v.text else code (lib.trim v.text)}";

  body =
    o:
    "${prose o.description}\n\n- Type: ${type o}"
    + optionalString (o ? default) (value "Default" o.default)
    + optionalString (o ? example) (value "Example" o.example);

  # An option that several parts have, with the same words, stands on the page once.
  entries = map (o: {
    name = removePrefix prefix o.name;
    body = body o;
    key = "${lib.last o.loc} ${body o}";
  }) shown;
  together = lib.groupBy (entry: entry.key) entries;
  isFirst = entry: entry.name == (lib.head together.${entry.key}).name;

  section =
    entry:
    let
      names = map (same: "`${same.name}`") together.${entry.key};
    in
    "## ${concatStringsSep ", " names}\n\n${entry.body}\n";
in
''
  # Options of `services.evenkeel`

  All of them stand below `services.evenkeel`. This page is made by `nix/options-page` from `nix/module.nix`.

''
+ concatMapStringsSep "\n" section (filter isFirst entries)
