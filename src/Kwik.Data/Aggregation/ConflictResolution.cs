namespace Kwik.Data;

/// <summary>
/// What happens when two sources send different bytes for the same offset of a stream. Bytes that the application has
/// read never change, whatever is chosen.
/// </summary>
public enum ConflictResolution
{
    /// <summary>The bytes that came first stay. The default.</summary>
    FirstWins,

    /// <summary>The bytes that came last stay, as far as the reader has not got there.</summary>
    LastWins,

    /// <summary>The primary's bytes stay; between two secondaries, the first.</summary>
    PrimaryWins,

    /// <summary>The stream fails with <see cref="KwikError.StreamMappingConflict"/>, naming both sources.</summary>
    Reject,
}
