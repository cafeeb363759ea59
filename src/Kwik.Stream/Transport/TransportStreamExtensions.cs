namespace Kwik.Streams;

/// <summary>What every user of an <see cref="ITransportStream"/> would else write again.</summary>
internal static class TransportStreamExtensions
{
    /// <summary>
    /// Disposes the stream, and waits no longer than this until the transport is done with it: a peer that does not end its
    /// half, though it was asked to stop, holds that up until the connection ends. Never throws.
    /// </summary>
    public static Task DisposeWithinAsync(this ITransportStream stream, TimeSpan limit, TimeProvider time) =>
        Background.EndsWithinAsync(async () => await stream.DisposeAsync(), limit, time);
}
