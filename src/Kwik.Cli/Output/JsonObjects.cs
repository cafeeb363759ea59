using System.Text.Json.Serialization;
using Kwik.Sessions;
using Kwik.Transfer;

namespace Kwik.Cli.Output;

// What --json prints. Keys are the names in snake case; they are stable and documented in docs/cli.md.

/// <summary>One server's part in a fetch.</summary>
internal sealed record SourceJson(
    int Path, string Role, string? Address, long Bytes, long BitsPerSecond, double? RttMs, string State)
{
    public static List<SourceJson> From(IReadOnlyList<DownloadSource> sources, TimeSpan elapsed) =>
    [
        .. sources.Select(source => new SourceJson(
            source.Path.Id,
            source.Path.Role == ServerRole.Primary ? "primary" : "secondary",
            source.Path.EndPoint?.ToString(),
            source.Bytes,
            Rate(source.Bytes, elapsed),
            source.Path.RoundTrip is { } roundTrip ? Math.Round(roundTrip.TotalMilliseconds, 3) : null,
            source.Path.State.ToString().ToLowerInvariant())),
    ];

    /// <summary>Bits per second; 0 when no time has passed.</summary>
    public static long Rate(long bytes, TimeSpan elapsed) => elapsed > TimeSpan.Zero ? (long)(bytes * 8 / elapsed.TotalSeconds) : 0;
}

/// <summary>A fetch that succeeded: <c>get --json</c>, and each run of <c>demo --json</c>.</summary>
internal sealed record FetchJson
{
    /// <summary>Names a run of the demo; absent for get.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Name { get; init; }

    public required long Bytes { get; init; }

    public required long ResumedBytes { get; init; }

    public required double Seconds { get; init; }

    public required long BitsPerSecond { get; init; }

    public required string Sha256 { get; init; }

    public required bool Verified { get; init; }

    public required long DuplicateBytes { get; init; }

    public required List<double> StallsMs { get; init; }

    public required List<SourceJson> Sources { get; init; }

    public static FetchJson From(DownloadResult result, string? name = null) => new()
    {
        Name = name,
        Bytes = result.Bytes,
        ResumedBytes = result.ResumedBytes,
        Seconds = Math.Round(result.Elapsed.TotalSeconds, 6),
        BitsPerSecond = SourceJson.Rate(result.Bytes - result.ResumedBytes, result.Elapsed),
        Sha256 = result.Sha256,
        Verified = result.Verified,
        DuplicateBytes = result.DuplicateBytes,
        StallsMs = [.. result.Stalls.Select(stall => Math.Round(stall.TotalMilliseconds, 1))],
        Sources = SourceJson.From(result.Sources, result.Elapsed),
    };
}

/// <summary>One line of <c>get --progress json</c>.</summary>
internal sealed record ProgressJson(
    long Bytes, long ResumedBytes, long Length, double Seconds, double? RemainingSeconds, List<SourceJson> Sources)
{
    /// <summary>Tells these lines from the last one.</summary>
    [JsonPropertyOrder(-1)]
    public string Type { get; } = "progress";
}

/// <summary><c>demo --json</c>.</summary>
internal sealed record DemoJson(
    bool Verified,
    string Sha256,
    string SourceSha256,
    long Bytes,
    double SpeedUp,
    long? KilledAtBytes,
    double StallAtKillMs,
    List<FetchJson> Runs);

/// <summary>The ready line of <c>serve --json</c>.</summary>
internal sealed record ServeJson(string Role, string Address, string Pin, string Root);

/// <summary><c>doctor --json</c>.</summary>
internal sealed record DoctorJson(LibraryJson Library, UdpJson Udp, List<string> Advice);

/// <summary>The QUIC library of <c>doctor --json</c> and <c>bench --json</c>.</summary>
internal sealed record LibraryJson(string Origin, string? Path, string? Version, string? Name, string Why)
{
    public static LibraryJson From(QuicLibrary library) => new(
        library.Origin.ToString().ToLowerInvariant(),
        library.Path,
        library.Version?.ToString(),
        library.Name,
        library.Origin switch
        {
            QuicLibraryOrigin.Environment => $"{QuicProvider.PathVariable} names it",
            QuicLibraryOrigin.System when library.Path is null => "System.Net.Quic finds its library itself on this system",
            QuicLibraryOrigin.System => $"the system has it, and it is of version {QuicProvider.MinimumVersion} or later",
            _ => $"the system has none of version {QuicProvider.MinimumVersion} or later; this one was built with Kwik",
        });
}

/// <summary>The system's UDP of <c>doctor --json</c>; null is what the system does not tell.</summary>
internal sealed record UdpJson(long? RmemMax, long? RmemDefault, long? WmemMax, long? WmemDefault, bool? Gso, bool? Gro);

/// <summary><c>cert --json</c>.</summary>
internal sealed record CertJson(string Certificate, string Key, string Pin, List<string> Names, DateTimeOffset NotAfter);

/// <summary><c>key --json</c>.</summary>
internal sealed record KeyJson(string Key, string Public);

/// <summary>Serialisers made at compile time, so that nothing is looked up by reflection when the program starts.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(FetchJson))]
[JsonSerializable(typeof(ProgressJson))]
[JsonSerializable(typeof(DemoJson))]
[JsonSerializable(typeof(ServeJson))]
[JsonSerializable(typeof(DoctorJson))]
[JsonSerializable(typeof(CertJson))]
[JsonSerializable(typeof(KeyJson))]
[JsonSerializable(typeof(AggregateJson))]
[JsonSerializable(typeof(FailoverJson))]
[JsonSerializable(typeof(PeerDownloadJson))]
[JsonSerializable(typeof(SingleJson))]
[JsonSerializable(typeof(LatencyJson))]
[JsonSerializable(typeof(RawJson))]
internal sealed partial class JsonObjects : JsonSerializerContext;
