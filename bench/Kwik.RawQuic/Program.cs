using System.Globalization;
using System.Text.Json;
using Kwik.RawQuic;
using Kwik.Sessions;

// Plain System.Net.Quic over loopback between two processes, as the yardstick for Kwik's own benchmarks and for the native
// library below: one stream with 64 KiB writes, echoes of 1 KiB, a stream for each request, 20 connections at once, and the
// memory of what is idle. Prints one JSON object.
//
//     Kwik.RawQuic [--seconds N]                                          the library that Kwik would use here
//     Kwik.RawQuic [--seconds N] [--runs N] --library PATH --library PATH ...    several, in turn, in one run
//
// The program starts itself once more as the server ("server" as its only argument).
const int DefaultSeconds = 3, DefaultRuns = 5;
QuicLibrary library = QuicProvider.EnsureLoaded();
if (args is ["server"])
{
    await RawServer.RunAsync(Console.In, Console.Out);
    return 0;
}

int seconds = DefaultSeconds, runs = DefaultRuns;
var libraries = new List<string>();
for (int i = 0; i < args.Length; i += 2)
{
    int number = 0;
    bool known = i + 1 < args.Length && args[i] switch
    {
        "--library" => true,
        "--seconds" or "--runs" => int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out number) && number is >= 1 and <= 3600,
        _ => false,
    };
    if (!known)
    {
        await Console.Error.WriteLineAsync("Usage: Kwik.RawQuic [--seconds N] [--runs N] [--library PATH --library PATH ...]");
        return 2;
    }

    switch (args[i])
    {
        case "--library": libraries.Add(Path.GetFullPath(args[i + 1])); break;
        case "--seconds": seconds = number; break;
        default: runs = number; break;
    }
}

object result = libraries.Count > 0
    ? await Comparison.RunAsync(libraries, runs, seconds)
    : new SortedDictionary<string, object>
    {
        ["figures"] = await Measurement.RunAsync(TimeSpan.FromSeconds(seconds)),
        ["provider"] = new SortedDictionary<string, string?>
        {
            ["name"] = library.Name,
            ["origin"] = library.Origin.ToString(),
            ["path"] = library.Path,
            ["version"] = library.Version?.ToString(),
        },
    };
Console.WriteLine(JsonSerializer.Serialize(result));
return 0;
