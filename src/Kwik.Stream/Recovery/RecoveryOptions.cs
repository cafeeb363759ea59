using Kwik.Data;

namespace Kwik.Streams;

/// <summary>One line of the table of what to do about faults.</summary>
/// <param name="Error">The fault.</param>
/// <param name="Action">What to do about it.</param>
public sealed record RecoveryRule(KwikError Error, RecoveryAction Action);

/// <summary>When a client thinks that bytes are missing, and what it does about that and about bad ones.</summary>
public sealed record RecoveryOptions
{
    /// <summary>
    /// A hole at the reader that is older is asked about (offset synchronisation): 10 ms to 5 min, default 2 s. Also the
    /// time after which the Internal stream that is farthest ahead gives way when its connection holds up such a hole.
    /// </summary>
    public TimeSpan ReorderTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// A hole at the reader that is older, although its source says that it will be filled, is a fault: at least
    /// <see cref="ReorderTimeout"/>, at most 1 h, default 30 s. Counts anew after each thing that was done about it.
    /// </summary>
    public TimeSpan AggregationTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// The table, in order: the first fault of a kind, from one server on one stream, is treated as the first rule for its
    /// error says, the second as the second rule says, and so on; the last one stays. Faults that no rule names are
    /// treated with <see cref="RecoveryAction.RequestRetransmission"/>. Default: <see cref="DefaultRules"/>.
    /// </summary>
    public IReadOnlyList<RecoveryRule> Rules { get; init; } = DefaultRules;

    /// <summary>
    /// A fault once may be an accident, twice it is the server: then it is taken out, and where it is the primary, the
    /// stream is given up. Bytes that are not those of the offered content are no accident.
    /// </summary>
    public static IReadOnlyList<RecoveryRule> DefaultRules { get; } =
    [
        new(KwikError.ContentMismatch, RecoveryAction.IsolateSource),
        new(KwikError.Checksum, RecoveryAction.RequestRetransmission),
        new(KwikError.Checksum, RecoveryAction.IsolateSource),
        new(KwikError.MetadataProtocolViolation, RecoveryAction.RequestResend),
        new(KwikError.MetadataProtocolViolation, RecoveryAction.IsolateSource),
        new(KwikError.StreamMappingConflict, RecoveryAction.RequestRetransmission),
        new(KwikError.StreamMappingConflict, RecoveryAction.IsolateSource),
        new(KwikError.FinalSize, RecoveryAction.RequestRetransmission),
        new(KwikError.FinalSize, RecoveryAction.IsolateSource),
        new(KwikError.Timeout, RecoveryAction.RequestRetransmission),
        new(KwikError.AggregationTimeout, RecoveryAction.RequestRetransmission),
        new(KwikError.AggregationTimeout, RecoveryAction.IsolateSource),
        new(KwikError.OffsetSyncFailure, RecoveryAction.RequestRetransmission),
        new(KwikError.OffsetSyncFailure, RecoveryAction.IsolateSource),
    ];

    /// <summary>Checks the ranges above, that each rule names a fault, and that its action is one for it.</summary>
    /// <exception cref="ArgumentException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(ReorderTimeout, TimeSpan.FromMilliseconds(10));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ReorderTimeout, TimeSpan.FromMinutes(5));
        ArgumentOutOfRangeException.ThrowIfLessThan(AggregationTimeout, ReorderTimeout);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(AggregationTimeout, TimeSpan.FromHours(1));
        ArgumentNullException.ThrowIfNull(Rules);
        foreach (RecoveryRule rule in Rules)
        {
            if (rule is null || rule.Error == KwikError.None || !Enum.IsDefined(rule.Error))
            {
                throw new ArgumentException($"{rule?.Error.ToString() ?? "null"} is no fault that a rule can name.", nameof(Rules));
            }

            bool fits = rule.Action switch
            {
                RecoveryAction.IgnoreCorrupted => rule.Error == KwikError.Checksum,
                RecoveryAction.RequestResend or RecoveryAction.UseDefaults or RecoveryAction.IgnoreStream =>
                    rule.Error is KwikError.MetadataProtocolViolation or KwikError.Timeout,
                _ => Enum.IsDefined(rule.Action),
            };
            if (!fits)
            {
                throw new ArgumentException(
                    $"{rule.Action} is no way to treat {rule.Error}; {nameof(RecoveryAction)} says what each is for.", nameof(Rules));
            }
        }
    }
}
