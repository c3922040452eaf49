# The scripts of a folder that are for an engine, by the rules of `dbvc migrate`.

def suffixes: {"sql-server": ".sql", "sqlite": ".sqlite.sql", "cosmos": ".cosmos.json"};

# Every SQLite script also ends in the suffix of T-SQL.
def engine_of: ascii_downcase | if endswith(".cosmos.json") then "cosmos" elif endswith(".sqlite.sql") then "sqlite" elif endswith(".sql") then "sql-server" else null end;

# 1, 1.0 and 01 are one version; 1_1 is 1.1.
def version_parts: gsub("_"; ".") | split(".") | map(sub("^0+(?=.)"; "")) | until(length <= 1 or last != "0"; .[:-1]);
def version_order: version_parts | map("000000000000000000" + . | .[-18:]);
def is_reserved: version_parts[0] == "100";

# Both forms that the id of a version of 14 digits can have; dbvc knows which one is a time.
def ids($version; $name): "V\($version)__\($name)",
  ($version | select(test("^[0-9]{14}$")) | "\(.[:8])_\(.[8:])_\($name)");

# [{engine, prefix, version, name, file}], with what cannot be read as a name under wrong.
def read_names: [ .[] | . as $file | engine_of as $engine | select($engine != null)
  | .[:(length - (suffixes[$engine] | length))] as $stem
  | ($stem | capture("^(?<prefix>[VU])(?<version>[0-9]+([._][0-9]+)*)__(?<name>[A-Za-z0-9][A-Za-z0-9_ .-]*)$")
      // capture("^(?<prefix>R)(?<version>)__(?<name>[A-Za-z0-9][A-Za-z0-9_ .-]*)$")
      // {prefix: "?", version: "", name: ""})
  | if $file | endswith(suffixes[$engine]) then . else .prefix = "?" end
  | {engine: $engine, prefix, version, name, file: $file} ];

# {scripts: [{fileName, up, down}], files: {id: {up, down}}, problems: [{file, message}]}
def scripts_of($names; $engine; $folder):
  ($names | read_names) as $all
  | ($all | map(select(.prefix == "V" or .prefix == "U") | select(.version | is_reserved | not))) as $versioned
  | ($versioned | map(select(.engine == $engine and .prefix == "V")) | sort_by(.version | version_order)) as $ups
  | ($versioned | map(select(.engine == $engine and .prefix == "U"))) as $downs
  | ($all | map(select(.engine == $engine and .prefix == "R")) | sort_by(.file)) as $repeatables
  | ($ups | map(.version | version_parts)) as $known
  | def path: "\($folder)/\(.)";
    def down_of: (.version | version_parts) as $version | first($downs[] | select((.version | version_parts) == $version) | .file | path) // null;
  ($ups | map(. + {down: down_of})) as $ups
  | {
      scripts: ($ups + ($repeatables | map(. + {down: null})) | map({fileName: .file, up: (.file | path), down})),
      files: (
        [ ($ups[] | . as $up | ids(.version; .name) | {key: ., value: {up: ($up.file | path), down: $up.down}}),
          ($repeatables[] | {key: "R__\(.name)", value: {up: (.file | path), down: null}}) ]
        | from_entries),
      problems: (
        [ ($all[] | select(.prefix == "?") | {file: (.file | path), message: "the name is not that of a script: name it V<version>__<name>, U<version>__<name> or R__<name>, such as V101__add_users.sql"}),
          ($versioned[] | select(.prefix == "V" and .engine != $engine) | select(.version | version_parts | IN($known[]) | not)
            | {file: (.file | path), message: "this version has no script for \($engine): write V\(.version)__\(.name)\(suffixes[$engine]) too"}),
          ($downs[] | select(.version | version_parts | IN($known[]) | not)
            | {file: (.file | path), message: "it undoes a version that no V file of the folder has"}),
          ($ups | group_by(.version | version_order)[] | select(length > 1)
            | {file: (.[1].file | path), message: "it has the same version as \(.[0].file)"}) ]
        | unique)
    };
