namespace Kwik.Sessions;

public sealed partial class SecondarySession
{
    /// <summary>
    /// Sends bytes to the application of the primary, by way of the client. Waits while 256 KiB of them wait for the client,
    /// and so that no more than 250 pieces a second are sent. Nobody confirms the arrival; the order of arrival is the order
    /// of sending.
    /// </summary>
    /// <param name="data">1 byte to 60 KiB.</param>
    /// <param name="cancellationToken">Stops waiting; the bytes may have been sent.</param>
    /// <returns>The number that a <see cref="RawDataDropped"/> among the events names when the bytes were dropped.</returns>
    /// <exception cref="Kwik.Data.KwikException">The session has ended.</exception>
    public ValueTask<long> SendRawDataAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default) =>
        SendRawAsync(0, data, cancellationToken);

    /// <summary>
    /// The next bytes that the client says the application of the primary sent. They are the client's word and no more: it
    /// may have made them up. At most 256 KiB wait here, each piece counting 128 bytes more than it has; what comes then is dropped.
    /// </summary>
    /// <exception cref="Kwik.Data.KwikException">The session has ended.</exception>
    public ValueTask<RawDataReceived> ReceiveRawDataAsync(CancellationToken cancellationToken = default) =>
        ReceiveRawAsync(cancellationToken);

    private protected override int RawDataPath(uint pathId) =>
        pathId == 0 ? PathId : throw Violation($"A client named path {pathId} to the server of path {PathId}.");
}
