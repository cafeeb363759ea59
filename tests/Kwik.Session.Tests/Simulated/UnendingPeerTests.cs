using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// Peers that are well alive, and neither end their halves of streams nor take what is sent: closing waits for them, but not
/// for ever.
/// </summary>
public sealed class UnendingPeerTests
{
    /// <summary>A stream: 5 s for what was written, 5 s for the end of both halves.</summary>
    private static readonly TimeSpan LongestStreamClose = TimeSpan.FromSeconds(10.5);

    /// <summary>Its streams, then 5 s for the goodbye to leave, and 5 s for the peer to close.</summary>
    private static readonly TimeSpan LongestSessionClose = LongestStreamClose + TimeSpan.FromSeconds(10);

    [Fact]
    public void Stream_WhosePeerGoesOnSending_CloseEnds() => RawScene.AtPrimary(async (world, client, session) =>
    {
        world.Host("client").IgnoresStopSending = true;
        await client.OpenAsync(StreamType.Main, []);
        KwikStream stream = await session.AcceptStream();

        await AssertEndsAsync(world, () => stream.DisposeAsync().AsTask(), LongestStreamClose);

        Assert.False(session.Closed.IsCompleted);
    });

    [Fact]
    public void PrimarySession_WhosePeerGoesOnSending_CloseEnds() => RawScene.AtPrimary(async (world, client, session) =>
    {
        world.Host("client").IgnoresStopSending = true;
        await client.OpenAsync(StreamType.Main, []);
        await session.AcceptStream();
        Task<ControlFrame> goodbye = client.UntilAsync(ControlFrame.BodyOneofCase.SessionClose);

        await AssertEndsAsync(world, () => session.DisposeAsync().AsTask(), LongestSessionClose);

        await goodbye;
    });

    [Fact]
    public void ClientSession_WhosePeerGoesOnSending_CloseEnds() => RawScene.AtClient(async (world, primary, session) =>
    {
        world.Host("primary").IgnoresStopSending = true;
        await primary.OpenAsync(StreamType.Main, []);
        await session.AcceptStream();
        Task<ControlFrame> goodbye = primary.UntilAsync(ControlFrame.BodyOneofCase.SessionClose);

        await AssertEndsAsync(world, () => session.DisposeAsync().AsTask(), LongestSessionClose);

        await goodbye;
    });

    [Fact]
    public void SecondarySession_WhosePeerTakesNoEnd_CloseEnds() => RawScene.AtSecondary(async (world, client, session) =>
    {
        await using SecondaryStream pushed = await session.OpenStreamSync();
        pushed.SetKwikStreamMapping(1, 0);
        // A little more than the window of a stream that nobody reads: the transport takes it.
        await pushed.WriteAsync(new byte[RawPeer.StreamWindow]);
        await pushed.CompleteAsync();
        Task<ControlFrame> goodbye = client.UntilAsync(ControlFrame.BodyOneofCase.SessionClose);

        await AssertEndsAsync(world, () => session.DisposeAsync().AsTask(), LongestSessionClose);

        await goodbye;
        await Assert.ThrowsAnyAsync<KwikException>(() => pushed.WritesClosed);
    });

    private static async Task AssertEndsAsync(SimulatedWorld world, Func<Task> close, TimeSpan limit)
    {
        TimeSpan begun = world.Time.Elapsed;
        Task closing = close();
        await Task.WhenAny(closing, world.Delay(TimeSpan.FromMinutes(2)));
        Assert.True(closing.IsCompleted, "It was not closed within two minutes.");
        await closing;
        Assert.InRange(world.Time.Elapsed - begun, TimeSpan.Zero, limit);
    }
}
