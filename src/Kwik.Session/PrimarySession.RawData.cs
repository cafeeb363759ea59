using Kwik.Data;

namespace Kwik.Sessions;

public sealed partial class PrimarySession
{
    /// <summary>
    /// Sends bytes to the application of a secondary server, by way of the client, which can read and change them. Waits
    /// while 256 KiB of them wait for the client, and so that no more than 250 pieces a second are sent. Nobody confirms the
    /// arrival; on one path the order of arrival is the order of sending.
    /// </summary>
    /// <param name="pathId">What <see cref="AddPathAsync"/> returned.</param>
    /// <param name="data">1 byte to 60 KiB.</param>
    /// <param name="cancellationToken">Stops waiting; the bytes may have been sent.</param>
    /// <returns>The number that a <see cref="RawDataDropped"/> among the events names when the bytes were dropped.</returns>
    /// <exception cref="KwikException">NotFound: the session has no such path. Any other code: the session has ended.</exception>
    public ValueTask<long> SendRawDataAsync(int pathId, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default) =>
        _paths.Has(pathId)
            ? SendRawAsync((uint)pathId, data, cancellationToken)
            : throw new KwikException(
                KwikError.NotFound, KwikErrorSide.Local, $"The session has no path {pathId} that raw data could be sent to.", pathId: pathId);

    /// <summary>
    /// The next bytes that the application of a secondary server sent, as far as the client carried them unchanged. At most
    /// 256 KiB wait here, each piece counting 128 bytes more than it has; what comes then is dropped.
    /// </summary>
    /// <exception cref="KwikException">The session has ended.</exception>
    public ValueTask<RawDataReceived> ReceiveRawDataAsync(CancellationToken cancellationToken = default) =>
        ReceiveRawAsync(cancellationToken);

    private protected override int RawDataPath(uint pathId)
    {
        _paths.RequireAnnounced(pathId);
        return (int)pathId;
    }
}
