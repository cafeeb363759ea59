using System.Net;
using System.Security.Cryptography;
using System.Text;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Samples.SendFile;

/// <summary>The side that opens the stream: it writes the file, and reads errors.</summary>
internal static class Sender
{
    /// <summary>Sends a file; true when the receiver has all of it.</summary>
    public static async Task<bool> SendAsync(IPEndPoint receiver, KeyHash pin, string path)
    {
        await using FileStream file = File.OpenRead(path);
        await using ClientSession session = await KwikClient.ConnectAsync(new KwikClientOptions { Primary = receiver, Pins = [pin] });
        await using KwikStream stream = await session.OpenStreamSync();
        // Runs beside the transfer, from its first byte to the receiver's last word.
        Task<XStreamError?> hearing = HearAsync(stream);
        try
        {
            byte[] sent = await WriteAsync(stream, file);
            var stored = new byte[SHA256.HashSizeInBytes];
            await stream.ReadExactlyAsync(stored);
            await hearing;
            bool equal = sent.AsSpan().SequenceEqual(stored);
            Console.WriteLine(equal ? $"Whole: {file.Length} bytes, SHA-256 {Convert.ToHexStringLower(stored)}" : "Other bytes were stored.");
            return equal;
        }
        catch (XStreamException)
        {
            // A write knows that nobody takes it any more; the error substream knows why. Throws when the receiver is gone.
            XStreamError? fault = await hearing;
            Console.WriteLine($"Stopped after {file.Position} of {file.Length} bytes, code {fault?.Code}: {fault?.Message}");
            return false;
        }
        catch
        {
            // To close the stream would say that this was all of the file.
            stream.Abort(KwikError.Cancelled);
            throw;
        }
    }

    /// <summary>Shows the notifications; returns the fault, or null when the receiver closes the stream without one.</summary>
    private static async Task<XStreamError?> HearAsync(KwikStream stream)
    {
        await foreach (XStreamError said in stream.ReadErrorsAsync())
        {
            if (said.IsFault)
            {
                return said;
            }

            Console.WriteLine($"Receiver: {said.Message}");
        }

        return null;
    }

    /// <summary>Writes name and content; returns the hash of the content.</summary>
    private static async Task<byte[]> WriteAsync(KwikStream stream, FileStream file)
    {
        byte[] name = Encoding.UTF8.GetBytes(Path.GetFileName(file.Name));
        await stream.WriteAsync((byte[])[checked((byte)name.Length), .. name]);

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[64 * 1024];
        for (int read; (read = await file.ReadAsync(buffer)) > 0;)
        {
            hash.AppendData(buffer, 0, read);
            // Fails as soon as the receiver has said that it takes no more.
            await stream.WriteAsync(buffer.AsMemory(0, read));
        }

        stream.CompleteWrites();
        return hash.GetHashAndReset();
    }
}
