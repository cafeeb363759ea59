namespace Kwik.Data;

/// <summary>What became of a piece that was given to an <see cref="OffsetAggregator"/>.</summary>
internal enum AcceptOutcome
{
    /// <summary>At least one byte was new, or the piece was empty.</summary>
    Accepted,

    /// <summary>Every byte was there already, the same.</summary>
    Duplicate,

    /// <summary>Bytes differed from those of another source; resolved as the options say.</summary>
    Conflict,

    /// <summary>Bytes differed, and the options say <see cref="ConflictResolution.Reject"/>; nothing changed.</summary>
    Rejected,

    /// <summary>A limit of <see cref="AggregatorOptions"/> is reached; nothing changed.</summary>
    Overflow,

    /// <summary>Beyond the final size, or beyond 2^62-1; nothing changed.</summary>
    FinalSize,
}

/// <summary>Outcome, and the other source where there was a conflict (otherwise -1).</summary>
internal readonly record struct AcceptResult(AcceptOutcome Outcome, long NewBytes = 0, int OtherSource = -1);
