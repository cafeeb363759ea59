using Kwik.Data;

namespace Kwik.Streams;

/// <summary>What a public stream needs of its session.</summary>
internal interface IStreamOwner
{
    /// <summary>The session's clock.</summary>
    TimeProvider Time { get; }

    /// <summary>The rate that all messages of the session share; null: no limit.</summary>
    MessagePace? MessagePace { get; }

    /// <summary>
    /// Is told of pieces that have found their place: stream, path, offset, bytes. Null, the default: nobody wants to know. Outside
    /// the stream's lock.
    /// </summary>
    Action<long, int, long, long>? Placed => null;

    /// <summary>
    /// Only the peer sends bytes for streams of this side, and offers nothing: so it is at a primary. False, the default: several
    /// servers do.
    /// </summary>
    bool HasOneSource => false;

    /// <summary>Tells the client what the stream contains.</summary>
    /// <exception cref="InvalidOperationException">This side is not the primary.</exception>
    ValueTask OfferAsync(KwikStream stream, ContentOffer offer, CancellationToken cancellationToken);

    /// <summary>This side may write at offsets of its choice, on Internal streams. True, the default; false at a client.</summary>
    bool Pushes => true;

    /// <summary>Opens an Internal stream to the client. Not called where <see cref="Pushes"/> is false.</summary>
    Task<SecondaryStream> OpenSecondaryAsync(CancellationToken cancellationToken);

    /// <summary>The stream is closed and leaves the session's table. Called once.</summary>
    void StreamClosed(KwikStream stream);
}
