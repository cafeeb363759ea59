using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Quic;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Kwik.Provider.Tests;

/// <summary>
/// ngtcp2's own HTTP/3 client and server, as Debian packages them (ngtcp2-client, ngtcp2-server): a QUIC endpoint and an HTTP/3
/// that are not ours and not Microsoft's. Tests skip themselves where they are not installed.
/// </summary>
internal static class Ngtcp2
{
    public static string RequireClient() => Require("gtlsclient", "ngtcp2-client");

    public static string RequireServer() => Require("gtlsserver", "ngtcp2-server");

    /// <summary>
    /// Downloads files into a folder and returns what the client said; fails unless it ended by itself and well.
    /// </summary>
    public static async Task<string> DownloadAsync(Uri server, string folder, string[] options, params string[] files)
    {
        var start = new ProcessStartInfo(RequireClient()) { RedirectStandardError = true, RedirectStandardOutput = true };
        string[] arguments =
        [
            "--no-quic-dump", "--no-http-dump", "--exit-on-all-streams-close", $"--download={folder}", .. options,
            server.Host, server.Port.ToString(CultureInfo.InvariantCulture), .. files.Select(file => new Uri(server, file).ToString()),
        ];
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using Process client = Process.Start(start)!;
        var said = new StringBuilder();
        try
        {
            Task errors = CollectAsync(client.StandardError, said);
            Task output = CollectAsync(client.StandardOutput, said);
            await client.WaitForExitAsync().Bounded();
            await Task.WhenAll(errors, output).Bounded();
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"gtlsclient {string.Join(' ', options)} did not end; it said at last: {Tail(said)}", e);
        }
        finally
        {
            if (!client.HasExited)
            {
                client.Kill();
            }
        }

        Assert.True(client.ExitCode == 0, $"gtlsclient ended with {client.ExitCode} and said at last: {Tail(said)}");
        return said.ToString();
    }

    private static string Require(string program, string package)
    {
        string? path = (Environment.GetEnvironmentVariable("PATH") + ":/usr/sbin:/usr/bin")
            .Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, program))
            .FirstOrDefault(File.Exists);
        Assert.SkipWhen(path is null, $"There is no {program} here; Debian has it in the package {package}.");
        return path;
    }

    private static async Task CollectAsync(StreamReader reader, StringBuilder said)
    {
        var buffer = new char[16 * 1024];
        for (int read; (read = await reader.ReadAsync(buffer)) > 0;)
        {
            lock (said)
            {
                said.Append(buffer, 0, read);
            }
        }
    }

    private static string Tail(StringBuilder said)
    {
        lock (said)
        {
            return said.ToString(Math.Max(0, said.Length - 4_000), Math.Min(said.Length, 4_000));
        }
    }

    /// <summary>A folder for the downloads of one test.</summary>
    public sealed class Folder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("kwik-ngtcp2-").FullName;

        public void Write(string name, byte[] content) => File.WriteAllBytes(System.IO.Path.Combine(Path, name), content);

        /// <summary>Checks a downloaded file named SEED-LENGTH.</summary>
        public void AssertContent(string name)
        {
            string[] parts = name.Split('-');
            byte[] bytes = File.ReadAllBytes(System.IO.Path.Combine(Path, name));
            Assert.Equal(int.Parse(parts[1], CultureInfo.InvariantCulture), bytes.Length);
            Content.AssertAt(bytes, seed: long.Parse(parts[0], CultureInfo.InvariantCulture), offset: 0);
        }

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }

    /// <summary>gtlsserver on a port of loopback, serving the files of a folder.</summary>
    public sealed class Server : IDisposable
    {
        private readonly Process _process;
        private readonly Folder _keys = new();

        private Server(string program, string documents, string[] options)
        {
            using ECDsa key = System.Security.Cryptography.X509Certificates.ECDsaCertificateExtensions.GetECDsaPrivateKey(Certificates.Server)!;
            _keys.Write("key.pem", Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem()));
            _keys.Write("certificate.pem", Encoding.ASCII.GetBytes(Certificates.Server.ExportCertificatePem()));
            int port = Loopback.FreePort();
            Address = new Uri($"https://127.0.0.1:{port}");
            var start = new ProcessStartInfo(program) { RedirectStandardError = true, RedirectStandardOutput = true };
            string[] arguments =
            [
                "--quiet", "-d", documents, .. options, "127.0.0.1", port.ToString(CultureInfo.InvariantCulture),
                Path.Combine(_keys.Path, "key.pem"), Path.Combine(_keys.Path, "certificate.pem"),
            ];
            foreach (string argument in arguments)
            {
                start.ArgumentList.Add(argument);
            }

            _process = Process.Start(start)!;
            _process.BeginErrorReadLine();
            _process.BeginOutputReadLine();
        }

        public Uri Address { get; }

        /// <summary>Starts it, and returns when it answers.</summary>
        public static async Task<Server> StartAsync(Folder documents, params string[] options)
        {
            var server = new Server(RequireServer(), documents.Path, options);
            try
            {
                // No HttpClient: for minutes it does not try again where it failed once.
                long start = Environment.TickCount64;
                while (true)
                {
                    Assert.False(server._process.HasExited, "gtlsserver ended at once.");
                    try
                    {
                        await using QuicConnection connection = await Loopback.ConnectAsync(
                            IPEndPoint.Parse(server.Address.Authority),
                            o =>
                            {
                                o.ClientAuthenticationOptions.ApplicationProtocols = [new("h3")];
                                o.ClientAuthenticationOptions.ClientCertificates = [Certificates.Client];
                            });
                        return server;
                    }
                    catch (SocketException) when (Environment.TickCount64 - start < Patience.Limit.TotalMilliseconds)
                    {
                        // It has not bound its port yet: the attempt ended with the kernel's word that nobody is there.
                    }
                }
            }
            catch
            {
                server.Dispose();
                throw;
            }
        }

        public void Dispose()
        {
            _process.Kill();
            _process.WaitForExit();
            _process.Dispose();
            _keys.Dispose();
        }
    }
}
