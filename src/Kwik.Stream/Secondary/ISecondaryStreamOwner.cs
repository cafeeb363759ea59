using System.Diagnostics.CodeAnalysis;
using Kwik.Data;

namespace Kwik.Streams;

/// <summary>What the Internal streams of a client need of its session.</summary>
internal interface ISecondaryStreamOwner
{
    /// <summary>A public stream that is open; otherwise tells whether it was closed or has not been seen yet.</summary>
    bool TryFindStream(long streamId, [NotNullWhen(true)] out KwikStream? stream, out bool wasClosed);

    /// <summary>Asks the primary whether this path may write there.</summary>
    void AskForMapping(int pathId, long streamId, long offset);

    /// <summary>
    /// Payload arrived. Before a reader can see it, so that whoever has read everything finds all of it counted.
    /// </summary>
    void BytesArrived(InboundSecondaryStream source, int bytes);

    /// <summary>
    /// A stream that is mapped has a fault of its server's: what is to be done about it. The answer is carried out by
    /// whoever asks, or in <see cref="StreamEnded"/>.
    /// </summary>
    RecoveryAction Decide(InboundSecondaryStream source, KwikException fault);

    /// <summary>
    /// A stream that was mapped has ended: as its server said (<paramref name="action"/> is null), or with a fault that is
    /// to be treated so.
    /// </summary>
    void StreamEnded(InboundSecondaryStream source, KwikException? fault, RecoveryAction? action);

    /// <summary>A server broke a rule; too many such ends its path.</summary>
    void RuleBroken(int pathId, KwikException fault);
}
