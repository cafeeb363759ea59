using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>A secondary reaches neither the application nor a byte that it was not asked for or granted.</summary>
public class SecondaryIsolationTests
{
    private const long Granted = 1000;
    private static readonly byte[] Payload = [1, 2, 3, 4, 5, 6, 7, 8];

    [Theory]
    [InlineData((int)StreamType.Main)]
    [InlineData((int)StreamType.Error)]
    [InlineData((int)StreamType.Control)]
    public void Secondary_OpensWhatOnlyOthersMay_IsRefusedAndTheApplicationNoticesNothing(int type) => Refused(
        async (client, streamId) => await client.OpenAsync((StreamType)type), KwikError.SecondaryStreamIsolation);

    [Fact]
    public void Secondary_WritesIntoAStreamThatWasNotGranted_IsRefused() => Refused(
        (client, streamId) => PushAsync(client, streamId + 4, Granted), KwikError.StreamMappingConflict);

    [Theory]
    [InlineData(0)]
    [InlineData(Granted - 1)]
    [InlineData(Granted + 9)]
    [InlineData(Granted + 16)]
    [InlineData((1L << 62) - 9)]
    public void Secondary_WritesOutsideItsRange_IsRefused(long offset) => Refused(
        (client, streamId) => PushAsync(client, streamId, offset), KwikError.StreamMappingConflict);

    [Fact]
    public void Secondary_JumpsOutOfItsRange_IsRefused() => Refused(
        (client, streamId) => client.OpenAsync(
            StreamType.Internal,
            (StreamFrame.Open(streamId, Granted), []),
            (StreamFrame.Data(8), Payload),
            (StreamFrame.Data(8, offset: 0), Payload)),
        KwikError.StreamMappingConflict);

    [Fact]
    public void Secondary_AnswersARequestThatNobodyMade_IsStopped() => Refused(
        (client, streamId) => client.OpenAsync(
            StreamType.Internal, (StreamFrame.Open(streamId, 0, requestId: 77), []), (StreamFrame.Data(8), Payload)),
        KwikError.Cancelled,
        isViolation: false);

    [Fact]
    public void Secondary_OpensTwice_IsRefused() => Refused(
        (client, streamId) => client.OpenAsync(
            StreamType.Internal, (StreamFrame.Open(streamId, Granted), []), (StreamFrame.Open(streamId, Granted), [])),
        KwikError.MetadataProtocolViolation);

    [Fact]
    public void Secondary_BeginsWithData_IsRefused() => Refused(
        (client, streamId) => client.OpenAsync(StreamType.Internal, (StreamFrame.Data(8), Payload)), KwikError.MetadataProtocolViolation);

    [Fact]
    public void Secondary_NeverCompletesItsOpenFrame_IsStopped() => Refused(
        (client, streamId) => client.OpenAsync(StreamType.Internal), KwikError.Timeout);

    [Fact]
    public void Secondary_BreaksMoreRulesThanAreForgiven_IsTakenOut() => Simulation.Run(1, async world =>
    {
        var done = new TaskCompletionSource();
        await using var deployment = new SimulatedDeployment(world);
        await using RogueSecondary rogue = await RogueSecondary.StartAsync(world.Host("rogue"), async client =>
        {
            for (int i = 0; i <= InboundStreams.ViolationLimit; i++)
            {
                await client.OpenAsync(StreamType.Internal, (StreamFrame.Data(8), Payload));
            }

            await client.ReceiveAsync();
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await session.AddPathAsync(rogue.Address);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await UntilAsync(session, happened => happened is PathStateChanged { Path: { Id: 1, State: PathState.Removed } });
        PathInfo path = session.GetAllPaths().Single(path => path.Id == 1);
        Assert.Equal(InboundStreams.ViolationLimit + 1, path.Violations);
        Assert.Equal(PathState.Active, session.GetAllPaths()[0].State);
    });

    private static Task<ITransportStream> PushAsync(RogueSecondary.Client client, long streamId, long offset) => client.OpenAsync(
        StreamType.Internal, (StreamFrame.Open(streamId, offset), []), (StreamFrame.Data(8), Payload));

    /// <summary>
    /// A rogue that was granted 16 bytes of a stream does something; what it gets for it. The primary's own bytes arrive
    /// whole, and the only stream that the application sees is the primary's.
    /// </summary>
    private static void Refused(
        Func<RogueSecondary.Client, long, Task<ITransportStream>> act, KwikError expected, bool isViolation = true) =>
        Simulation.Run(1, async world =>
        {
            var outcome = new TaskCompletionSource<KwikError>();
            var granted = new TaskCompletionSource<long>();
            var content = new byte[3000];
            world.Random.NextBytes(content);
            await using var deployment = new SimulatedDeployment(world);
            await using RogueSecondary rogue = await RogueSecondary.StartAsync(world.Host("rogue"), async client =>
            {
                Task receiving = client.ReceiveAsync();
                ITransportStream stream = await act(client, await granted.Task);
                outcome.SetResult(await RogueSecondary.Client.OutcomeAsync(stream));
                await receiving;
            });
            await deployment.StartPrimaryAsync(null, async session =>
            {
                await using KwikStream stream = await session.OpenStreamSync();
                session.MapRange(stream, await session.AddPathAsync(rogue.Address), Granted, 16);
                granted.SetResult(stream.Id);
                await outcome.Task;
                await stream.WriteAsync(content);
                stream.CompleteWrites();
                await session.Closed;
            });

            await using ClientSession session = await deployment.ConnectAsync();
            await using KwikStream stream = await session.AcceptStream();
            Task<KwikStream> another = session.AcceptStream();
            byte[] received = await stream.ReadToEndAsync();

            Assert.Equal(expected, await outcome.Task);
            // Granted bytes may be the rogue's: that is what a grant means.
            Assert.Equal(content[..(int)Granted], received[..(int)Granted]);
            Assert.Equal(content[((int)Granted + 16)..], received[((int)Granted + 16)..]);
            Assert.False(another.IsCompleted);
            Assert.Equal(isViolation ? 1 : 0, session.GetAllPaths().Single(path => path.Id == 1).Violations);
            await session.DisposeAsync();
            await Assert.ThrowsAnyAsync<KwikException>(() => another);
        });

    private static async Task UntilAsync(ClientSession session, Predicate<SessionEvent> isIt)
    {
        while (!isIt(await session.Events.ReadAsync()))
        {
            // Others come before.
        }
    }
}
