using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>RESET_STREAM and STOP_SENDING, from both ends, with the codes that the other end sees.</summary>
public sealed class AbortTests
{
    private const long Code = 1_234;

    [Fact]
    public async Task AbortWrites_PeerReads_PeerSeesTheCodeInReadAndReadsClosed()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            Task pending = peer.ReadAsync(new byte[1]).AsTask();

            local.Abort(QuicAbortDirection.Write, Code);

            await Expect.StreamAborted(Code, pending);
            await Expect.StreamAborted(Code, peer.ReadAsync(new byte[1]).AsTask());
            await Expect.StreamAborted(Code, peer.ReadsClosed);
        }
    }

    [Fact]
    public async Task AbortReads_PeerWrites_PeerSeesTheCodeInWriteAndWritesClosed()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            Task pending = peer.WriteForeverAsync();

            local.Abort(QuicAbortDirection.Read, Code);

            await Expect.StreamAborted(Code, pending);
            await Expect.StreamAborted(Code, peer.WriteAsync(new byte[1]).AsTask());
            await Expect.StreamAborted(Code, peer.WritesClosed);
        }
    }

    [Fact]
    public async Task AbortBoth_PeerReadsAndWrites_PeerSeesTheCodeInBoth()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            Task read = peer.ReadAsync(new byte[1]).AsTask();
            Task write = peer.WriteForeverAsync();

            local.Abort(QuicAbortDirection.Both, Code);

            await Expect.StreamAborted(Code, read);
            await Expect.StreamAborted(Code, write);
        }
    }

    [Fact]
    public async Task AbortByTheAcceptor_OpenerReadsAndWrites_OpenerSeesTheCodes()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            Task read = local.ReadAsync(new byte[1]).AsTask();
            Task write = local.WriteForeverAsync();

            peer.Abort(QuicAbortDirection.Write, Code);
            await Expect.StreamAborted(Code, read);

            peer.Abort(QuicAbortDirection.Read, Code + 1);
            await Expect.StreamAborted(Code + 1, write);
        }
    }

    [Fact]
    public async Task Abort_OwnPendingCalls_ThrowOperationAborted()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            Task read = local.ReadAsync(new byte[1]).AsTask();
            Task write = local.WriteForeverAsync();

            local.Abort(QuicAbortDirection.Both, Code);

            await Expect.OperationAborted(read);
            await Expect.OperationAborted(write);
            await Expect.OperationAborted(local.ReadsClosed);
            await Expect.OperationAborted(local.WritesClosed);
        }
    }

    [Fact]
    public async Task AbortWrites_OtherDirection_StaysIntact()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            local.Abort(QuicAbortDirection.Write, Code);
            await Expect.StreamAborted(Code, peer.ReadToEndAsync());

            Task write = peer.WriteContentAsync(seed: 1, length: 500_000);
            await local.AssertContentAsync(seed: 1, length: 500_000);
            await write;
            await peer.WritesClosed.Bounded();
        }
    }

    [Fact]
    public async Task AbortReads_OtherDirection_StaysIntact()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            local.Abort(QuicAbortDirection.Read, Code);
            await Expect.StreamAborted(Code, peer.WriteForeverAsync());

            Task write = local.WriteContentAsync(seed: 1, length: 500_000);
            await peer.AssertContentAsync(seed: 1, length: 500_000);
            await write;
            await local.WritesClosed.Bounded();
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(16_384)]
    [InlineData(1 << 30)]
    [InlineData(Loopback.LargestCode)]
    public async Task AbortBoth_CodeOfEveryLength_ArrivesWhole(long code)
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            local.Abort(QuicAbortDirection.Both, code);

            await Expect.StreamAborted(code, peer.ReadToEndAsync());
            await Expect.StreamAborted(code, peer.WriteForeverAsync());
        }
    }

    [Fact]
    public async Task AbortWrites_NothingWritten_PeerAcceptsTheStreamAndSeesTheCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        await using QuicStream local = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();

        local.Abort(QuicAbortDirection.Write, Code);

        await using QuicStream peer = await pair.Server.AcceptInboundStreamAsync().Bounded();
        await Expect.StreamAborted(Code, peer.ReadToEndAsync());
    }

    [Theory]
    [InlineData(QuicStreamType.Unidirectional)]
    [InlineData(QuicStreamType.Bidirectional)]
    public async Task AbortWrites_NothingWritten_HundredsInTurn_LeaveTheConnectionItsStreams(QuicStreamType type)
    {
        await using Loopback pair = await Loopback.StartAsync();

        for (int i = 0; i < 300; i++)
        {
            await using QuicStream local = await pair.Client.OpenOutboundStreamAsync(type).Bounded();
            local.Abort(QuicAbortDirection.Write, Code);

            await using QuicStream peer = await pair.Server.AcceptInboundStreamAsync().Bounded();
            await Expect.StreamAborted(Code, peer.ReadToEndAsync());
        }
    }

    [Fact]
    public async Task AbortReads_NothingWritten_PeerAcceptsTheStreamAndSeesTheCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        await using QuicStream local = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded();

        local.Abort(QuicAbortDirection.Read, Code);

        await using QuicStream peer = await pair.Server.AcceptInboundStreamAsync().Bounded();
        await Expect.StreamAborted(Code, peer.WriteForeverAsync());
    }

    [Fact]
    public async Task Abort_SecondTime_KeepsTheFirstCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            local.Abort(QuicAbortDirection.Both, Code);
            local.Abort(QuicAbortDirection.Both, Code + 1);

            await Expect.StreamAborted(Code, peer.ReadToEndAsync());
            await Expect.StreamAborted(Code, peer.WriteForeverAsync());
        }
    }

    [Fact]
    public async Task Abort_FromBothEndsAtOnce_EndsTheStreamOnBoth()
    {
        await using Loopback pair = await Loopback.StartAsync();

        for (int i = 0; i < 100; i++)
        {
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            Task write = local.WriteForeverAsync();

            await Task.WhenAll(
                Task.Run(() => local.Abort(QuicAbortDirection.Both, Code)),
                Task.Run(() => peer.Abort(QuicAbortDirection.Both, Code + 1))).Bounded();

            // Each may hear of the other's abort before its own took effect.
            QuicException e = await Assert.ThrowsAsync<QuicException>(write.Bounded);
            Assert.True(e.QuicError is QuicError.OperationAborted or QuicError.StreamAborted, Expect.Describe(e));
            await local.DisposeAsync().Bounded();
            await peer.DisposeAsync().Bounded();
        }

        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Abort_HundredsOfStreamsWithUnreadBytes_LeavesTheConnectionItsCredit()
    {
        // A connection window of a few streams' worth: it is used up soon if aborted streams do not give it back.
        await using Loopback pair = await Loopback.StartAsync(server: o => o.InitialReceiveWindowSizes.Connection = 256 * 1024);

        for (int i = 0; i < 300; i++)
        {
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
            await using (local)
            await using (peer)
            {
                Task write = local.WriteForeverAsync();
                // The first bytes are here, more are on their way.
                await peer.ReadExactlyAsync(new byte[1]).Bounded();

                if (i % 2 == 0)
                {
                    peer.Abort(QuicAbortDirection.Read, Code);
                    await Expect.StreamAborted(Code, write);
                }
                else
                {
                    local.Abort(QuicAbortDirection.Write, Code);
                    await Expect.OperationAborted(write);
                    await Expect.StreamAborted(Code, peer.ReadToEndAsync());
                }
            }
        }

        (QuicStream last, QuicStream lastPeer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (last)
        await using (lastPeer)
        {
            Task write = last.WriteContentAsync(seed: 1, length: 1_000_000);
            await lastPeer.AssertContentAsync(seed: 1, length: 1_000_000);
            await write;
        }
    }
}
