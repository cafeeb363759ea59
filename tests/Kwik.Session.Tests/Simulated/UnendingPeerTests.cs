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

        ITransportStream taken = await client.Connection.AcceptStreamAsync(CancellationToken.None);

        Task closing = AssertEndsAsync(world, () => session.DisposeAsync().AsTask(), LongestSessionClose);

        // It was reset before the goodbye, and is not on its way any more.
        await goodbye;
        KwikException reset = await Assert.ThrowsAnyAsync<KwikException>(() => taken.ReadExactlyAsync(RawPeer.StreamWindow));
        Assert.Equal((KwikError.Cancelled, KwikErrorSide.Remote, false), (reset.Code, reset.Side, reset.EndsConnection));
        await closing;
    });

    [Fact]
    public void Stream_ThatArrivesWhileItsSessionIsClosed_IsClosedToo() => RawScene.AtPrimary(async (world, client, session) =>
    {
        Task<ControlFrame> goodbye = client.UntilAsync(ControlFrame.BodyOneofCase.SessionClose);
        Task closing = session.DisposeAsync().AsTask();
        await goodbye;

        // The client does not go yet, and the server waits for that.
        ITransportStream main = await client.OpenAsync(StreamType.Main, []);
        await main.ReadToEndAsync();
        await client.ErrorHalves[main].ReadToEndAsync();

        Assert.False(closing.IsCompleted);
        await closing;
    });

    private static async Task AssertEndsAsync(SimulatedWorld world, Func<Task> close, TimeSpan limit)
    {
        TimeSpan begun = world.Time.Elapsed;
        Task closing = close();
        await Task.WhenAny(closing, world.Delay(TimeSpan.FromMinutes(2)));
        Assert.True(closing.IsCompleted, "It was not closed within two minutes.");
        await closing;
        // Less, and there was nothing to wait for.
        Assert.InRange(world.Time.Elapsed - begun, TimeSpan.FromSeconds(5), limit);
    }
}
