using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>
/// How many control frames may come, or go, in a time. Frames that belong to work with a bound of its own are given back
/// when that work is done, so that only the others count.
/// </summary>
internal static class FrameBudget
{
    /// <summary>Control frames that a peer may send each second.</summary>
    public const int FramesPerSecond = 1000;

    /// <summary>Raw data that this side sends each second: with room for what others send beside it on the same connection.</summary>
    public const int RawDataPerSecond = 250;

    /// <summary>
    /// Raw data that a client carries to one server each second: more than one sender sends, because what was sent evenly may
    /// arrive in a bunch.
    /// </summary>
    public const int CarriedPerSecond = 2 * RawDataPerSecond;

    /// <summary>
    /// What a peer may send: a second's worth at once, and for each public stream the two frames that it may cost.
    /// </summary>
    public static TokenBucket OfPeer(TimeProvider time, int publicStreams) =>
        new(time, FramesPerSecond, FramesPerSecond + (2 * publicStreams));
}
