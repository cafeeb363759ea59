namespace Kwik.Cli.Commands;

/// <summary>What the help of each command ends with: lines to copy, as a shell takes them, and what they do.</summary>
internal static class Examples
{
    /// <summary>By the name of the command, without the program's own; of the program itself: the empty one.</summary>
    public static IReadOnlyDictionary<string, (string Line, string Does)[]> All { get; } = new Dictionary<string, (string, string)[]>
    {
        [""] =
        [
            ("kwik demo", "one file from one server, from three, and from three of which one is killed"),
            ("kwik serve --root .", "serve the files of this directory to this machine"),
            ("kwik get kwik://127.0.0.1:4433/hello.txt --pin sha256/PIN", "fetch one of them; the server has printed the pin"),
            ("kwik get --help", "all about a command"),
        ],
        ["demo"] =
        [
            ("kwik demo", "128 MiB from a primary and two secondaries: about half a minute"),
            ("kwik demo --size 32MiB --secondaries 4", "smaller, from five servers"),
            ("kwik demo --json --progress none", "what was measured, for programs"),
        ],
        ["get"] =
        [
            ("kwik get kwik://files.example.net/big.iso --pin sha256/PIN", "to big.iso; the server has printed its pin"),
            ("kwik get kwik://files.example.net/big.iso --pin sha256/PIN --resume", "go on after Ctrl-C, or after anything else"),
            ("kwik get kwik://files.example.net/big.iso -o /tmp/x.iso --limit-rate 10Mbit/s", "a server with a certificate that the system trusts"),
            ("kwik get kwik://files.example.net/logs.tar -o - | tar x", "in order to standard output, each byte checked"),
        ],
        ["serve"] =
        [
            ("kwik serve --root .", "a primary server for this machine alone; it prints its pin"),
            ("kwik serve --root files --listen '*:4433' --cert cert.pem --key cert.key", "for everybody, with a certificate that stays"),
            ("kwik serve --role secondary --root files --listen '*:4434' --trust primary.pub", "helps the primaries whose key it has"),
            ("kwik serve --root files --signing-key primary.key --secondary '192.0.2.7:4434#sha256/PIN'", "sends its clients there as well"),
        ],
        ["bench"] =
        [
            ("kwik bench single", "what Kwik costs beside plain QUIC streams, in two minutes"),
            ("kwik bench aggregate", "unequal servers, in some minutes"),
            ("kwik bench failover --runs 5", "what a reader notices when a server fails"),
        ],
        ["bench raw"] =
        [
            ("kwik bench raw", "what the machine and its QUIC library give, in a minute"),
            ("kwik bench raw --runs 1 --json", "a quick look, for programs"),
        ],
        ["bench single"] =
        [
            ("kwik bench single", "five downloads of each kind, as the bars are meant"),
            ("kwik bench single --runs 1 --seconds 1 --json", "a quick look, for programs"),
        ],
        ["bench latency"] =
        [
            ("kwik bench latency", "25,600 messages of each kind"),
            ("kwik bench latency --connections 100", "the same from more connections"),
        ],
        ["bench aggregate"] =
        [
            ("kwik bench aggregate", "five runs, as the bars are meant"),
            ("kwik bench aggregate --runs 1 --seconds 3 --json", "a quick look, for programs"),
        ],
        ["bench failover"] =
        [
            ("kwik bench failover", "20 runs of each kind of fault"),
            ("kwik bench failover --kind kill --runs 5", "servers that are killed"),
            ("kwik bench failover --kind stop --kind blackhole --outage 5", "servers that come back after 5 s"),
        ],
        ["report"] =
        [
            ("kwik report run.sqlog", "makes run.html of a qlog that 'get --qlog' has recorded"),
            ("kwik report run.sqlog -o page.html --force", "in place of a page that exists"),
        ],
        ["cert"] =
        [
            ("kwik cert -o cert.pem", "cert.pem and cert.key for localhost; prints the pin"),
            ("kwik cert -o cert.pem --name files.example.net --days 90", "with the name that clients use"),
        ],
        ["key"] =
        [
            ("kwik key -o primary.key", "also writes primary.pub, which goes to the secondaries"),
            ("kwik key -o primary.key --force", "a new one in its place"),
        ],
        ["doctor"] =
        [
            ("kwik doctor", "what this machine has, and what to change"),
            ("kwik doctor --json", "the same for programs"),
        ],
        ["completion"] =
        [
            ("eval \"$(kwik completion bash)\"", "for this shell; in ~/.bashrc for all"),
            ("kwik completion zsh > ~/.zfunc/_kwik", "a directory of fpath"),
            ("kwik completion fish > ~/.config/fish/completions/kwik.fish", "where fish looks"),
        ],
    };
}
