using System.Text.Json.Serialization;

namespace Kwik.Cli.Output;

/// <summary><c>bench aggregate --json</c>.</summary>
internal sealed record AggregateJson
{
    public required LibraryJson Provider { get; init; }

    public required int Runs { get; init; }

    public required double Seconds { get; init; }

    /// <summary>The longest wait for each link's bottleneck; null: what the relay's queue takes.</summary>
    public required double? QueueMs { get; init; }

    public required List<AloneJson> Sources { get; init; }

    public required long SumOfSourcesBitsPerSecond { get; init; }

    /// <summary>Plain System.Net.Quic through the primary's link.</summary>
    public required long RawBitsPerSecond { get; init; }

    /// <summary>Kwik through the primary's link, and no other.</summary>
    public required long KwikBitsPerSecond { get; init; }

    public required double Ratio { get; init; }

    public required TogetherJson Ordered { get; init; }

    public required TogetherJson Positioned { get; init; }

    public required SlowServerJson SlowServer { get; init; }

    /// <summary>Every bar holds.</summary>
    public required bool Met { get; init; }

    public required List<MeasurementJson> Measurements { get; init; }
}

/// <summary>One link, and what plain System.Net.Quic gets through it alone: medians.</summary>
internal sealed record AloneJson(
    string Role, long LinkBitsPerSecond, double LinkRttMs, long RawBitsPerSecond, long RawWithStartBitsPerSecond, double RawFirstByteMs);

/// <summary>One stream from all servers, one way of taking it: medians.</summary>
internal sealed record TogetherJson(
    long BitsPerSecond,
    long WithStartBitsPerSecond,
    double FirstByteMs,
    double OfSum,
    double Bar,
    bool Met,
    double DuplicateRatio,
    double DuplicateBar,
    bool DuplicateMet);

/// <summary>Two equal servers, with and without a third one that is ten times slower: medians.</summary>
internal sealed record SlowServerJson(long WithoutBitsPerSecond, long WithBitsPerSecond, double Ratio, double Bar, bool Met);

/// <summary>One download. The bits of each source are null for plain System.Net.Quic.</summary>
internal sealed record MeasurementJson(
    int Run,
    string Name,
    long Bytes,
    double Seconds,
    double FirstByteMs,
    long BitsPerSecond,
    long WithStartBitsPerSecond,
    double? DuplicateRatio,
    List<long>? SourceBytes,
    double LongestGapMs,
    double? ProcessorBusy);

/// <summary><c>bench failover --json</c>.</summary>
internal sealed record FailoverJson
{
    public required LibraryJson Provider { get; init; }

    /// <summary>Of each kind of fault.</summary>
    public required int Runs { get; init; }

    public required double Seconds { get; init; }

    public required double OutageSeconds { get; init; }

    public required double? QueueMs { get; init; }

    public required SpreadJson GapMs { get; init; }

    /// <summary>Null when no kind of fault ends.</summary>
    public required SpreadJson? BackMs { get; init; }

    public required long LostBytes { get; init; }

    public required bool Sha256Ok { get; init; }

    /// <summary>Every bar holds.</summary>
    public required bool Met { get; init; }

    public required List<FaultJson> Faults { get; init; }

    public required List<FailoverRunJson> Measurements { get; init; }
}

/// <summary>How far values lie apart; the bar is the most that the 95th percentile may be. Null where nothing was measured.</summary>
internal sealed record SpreadJson(double? P50, double? P95, double? Max, double Bar, bool Met);

/// <summary>All runs with one kind of fault.</summary>
internal sealed record FaultJson(
    string Kind, SpreadJson GapMs, double? NoticedP50Ms, double? AskedElsewhereP50Ms, double? FirstByteP50Ms, SpreadJson? BackMs);

/// <summary>One download with one fault. Times are from the fault, those of gaps their lengths.</summary>
internal sealed record FailoverRunJson
{
    public required int Run { get; init; }

    public required string Kind { get; init; }

    /// <summary>The path to the server that failed.</summary>
    public required int Path { get; init; }

    /// <summary>From the request.</summary>
    public required double FaultAtMs { get; init; }

    public required double GapMs { get; init; }

    public required double GapBeforeFaultMs { get; init; }

    public required double? NoticedMs { get; init; }

    public required double? AskedElsewhereMs { get; init; }

    public required double? FirstByteMs { get; init; }

    public required double? BackMs { get; init; }

    /// <summary>False: not within the bar. Null: the fault does not end, or the download ended before that could be seen.</summary>
    public required bool? Back { get; init; }

    public required long LostBytes { get; init; }

    public required bool Sha256Ok { get; init; }

    public required double DuplicateRatio { get; init; }

    public required double? ProcessorBusy { get; init; }

    /// <summary>What the stream failed with; absent when it did not.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Error { get; init; }
}
