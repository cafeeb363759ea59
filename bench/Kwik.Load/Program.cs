// What many clients, or rude ones, do to a server: named scenarios, each in rounds, with figures, and whether memory is flat
// afterwards. Both ends are in this process, over QUIC on loopback.
//   Kwik.Load                              lists the scenarios
//   Kwik.Load all [--rounds N] [--json]    runs each, 3 rounds or N: 1 to 1000
//   Kwik.Load NAME...                      runs these
//   Kwik.Load churn --duration 30m         for so long: s, m or h; rounds are then the least
// Ends with 1 when memory was not flat, or something was not as it must be.
using System.Globalization;
using System.Text.Json;
using Kwik.Load;
using Kwik.Load.Scenarios;
using Kwik.Sessions;

Scenario[] known =
[
    new("streams", "10,000 public streams of one session at once", ManyStreams.RunAsync),
    new("sessions", "1,000 sessions at once", ManySessions.RunAsync),
    new("resets", "100,000 streams opened and reset beside an honest client", ResetFlood.RunAsync),
    new("slow-readers", "25 of 50 downloads are never read", SlowReaders.RunAsync),
    new("handshakes", "1,000 handshakes that fail, among datagrams that are no QUIC", FailedHandshakes.RunAsync),
    new("churn", "sessions that fetch from three servers, give up, reset and echo, with faults", Churn.RunAsync, NeedsReplicas: true),
];
bool json = args.Contains("--json");
if (!TryRead("--rounds", "3", text => int.TryParse(text, out int n) && n is >= 1 and <= 1000 ? n : (int?)null, out int rounds)
    || !TryRead("--duration", "0s", ParseDuration, out TimeSpan duration))
{
    return 2;
}

string[] names = [.. args.Where((arg, i) => !arg.StartsWith("--", StringComparison.Ordinal) && (i == 0 || args[i - 1] is not ("--rounds" or "--duration")))];
if (names.Except([.. known.Select(one => one.Name), "all"]).FirstOrDefault() is { } unknown)
{
    Console.Error.WriteLine($"load: there is no scenario '{unknown}'; without arguments, all are listed.");
    return 2;
}

if (names.Length == 0)
{
    foreach (Scenario scenario in known)
    {
        Console.WriteLine($"{scenario.Name,-14} {scenario.What}");
    }

    return 0;
}

QuicProvider.EnsureLoaded();
bool flat = true;
foreach (Scenario scenario in known.Where(one => names.Contains(one.Name) || names.Contains("all")))
{
    LoadResult result = await LoadRun.RunAsync(scenario, rounds, duration, Console.Error.WriteLine);
    flat &= result.Flat;
    Console.WriteLine(json ? JsonSerializer.Serialize(result, new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower }) : Text(result));
}

return flat ? 0 : 1;

bool TryRead<T>(string option, string otherwise, Func<string, T?> parse, out T value)
    where T : struct
{
    int at = Array.IndexOf(args, option);
    string text = at < 0 ? otherwise : args.ElementAtOrDefault(at + 1) ?? "";
    value = parse(text) ?? default;
    if (parse(text) is null)
    {
        Console.Error.WriteLine($"load: '{text}' is no value of {option}.");
        return false;
    }

    return true;
}

static TimeSpan? ParseDuration(string text) =>
    text.Length > 1 && double.TryParse(text[..^1], CultureInfo.InvariantCulture, out double value) && value is >= 0 and <= 100_000
        ? text[^1] switch
        {
            's' => TimeSpan.FromSeconds(value),
            'm' => TimeSpan.FromMinutes(value),
            'h' => TimeSpan.FromHours(value),
            _ => null,
        }
        : null;

static string Text(LoadResult result) =>
    $"{result.Scenario}: {result.Rounds} rounds; {result.Figures}; memory {(result.Flat ? "flat" : "NOT FLAT")}: objects "
    + $"{MemoryUse.Format(result.First.Managed)} -> {MemoryUse.Format(result.Last.Managed)}, resident "
    + $"{MemoryUse.Format(result.First.Resident)} -> {MemoryUse.Format(result.Last.Resident)}, handles {result.First.Handles} -> {result.Last.Handles}";
