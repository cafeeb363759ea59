using Kwik.Data;

namespace Kwik.Sessions;

/// <content>What became of the contents that the client was sent.</content>
public abstract partial class ServerSession
{
    /// <summary>What the client has of contents at the moment.</summary>
    private protected ContentUses Contents { get; }

    /// <summary>
    /// Waits until the client has closed every stream whose content it is sent by this server, or is to be: for a server that is
    /// about to stop, and has what runs end first. Returns at once when there is none, or the session has ended.
    /// </summary>
    public Task WaitForContentsAsync(CancellationToken cancellationToken = default) => Contents.WaitForNoneAsync(cancellationToken);
}

/// <summary>
/// The client has closed a stream whose content it was sent, or its session has ended. What other servers sent of the content is
/// not in here.
/// </summary>
/// <param name="StreamId">The public stream.</param>
/// <param name="Root">The content.</param>
/// <param name="Offset">The first byte that was sent; 0 when none was.</param>
/// <param name="End">Behind the last byte that was sent, with gaps perhaps; 0 when none was.</param>
/// <param name="BytesSent">Bytes that this server sent, those it sent twice included.</param>
/// <param name="Requests">Ranges that the client asked this server for, and that were served or begun.</param>
/// <param name="Elapsed">From the offer, on a secondary from the first request.</param>
/// <param name="Error">
/// None: the client closed the stream, or said goodbye. Else why the session ended; Cancelled, unless another reason was given, when it
/// was closed here.
/// </param>
public sealed record ContentClosed(
    long StreamId, ContentRoot Root, long Offset, long End, long BytesSent, int Requests, TimeSpan Elapsed, KwikError Error) : SessionEvent;
